// A block of convolution, batch norm, ReLU and perhaps pooling, with its derivatives, on one task.
#pragma once

#include "passes.h"

// The gradient in y, or its derivative: per channel
//     (s1 g1 + s2 g2 behind the ReLU, at the chosen outputs) + b1 y + b2 dy + shift
struct Mixture {
    const real *g1, *g2, *y, *dy;
    Buffer s1, s2, b1, b2, shift;

    Mixture(int n, const real *g1, const real *g2, const real *y, const real *dy)
        : g1(g1), g2(g2), y(y), dy(dy), s1(n), s2(n), b1(n), b2(n), shift(n) {}
};

// s and b of `Block` in batched/stages.py, and the shift, with that of the centred y.
static void backward_scales(const Shape &s, const Point &p, Mixture &m) {
    real share = real(-1) / s.conv.rows();
    for (int c = 0; c < s.conv.filters; c++) {
        real scale = p.gamma[c] * p.r[c];
        m.s1[c] = scale;
        m.b1[c] = scale * p.r[c] * p.r[c] * p.q[c] * share;
        m.shift[c] = scale * p.sum_g[c] * share - m.b1[c] * p.mean[c];
    }
}

// The derivatives of `backward_scales`.
static void curvature_scales(const Shape &s, const Point &p, const real *d_sum, const real *dq,
                             Mixture &m) {
    real share = real(-1) / s.conv.rows();
    for (int c = 0; c < s.conv.filters; c++) {
        real r = p.r[c], q = p.q[c], scale = p.gamma[c] * r;
        real ds = p.d_gamma[c] * r + p.gamma[c] * p.dr[c];
        m.s1[c] = scale;
        m.s2[c] = ds;
        m.b1[c] = (ds * r * r * q + 2 * scale * r * p.dr[c] * q + scale * r * r * dq[c]) * share;
        m.b2[c] = scale * r * r * q * share;
        m.shift[c] = (ds * p.sum_g[c] + scale * d_sum[c]) * share - m.b1[c] * p.mean[c] -
                     m.b2[c] * p.d_mean[c];
    }
}

template <bool BOTH>
static void mix(const Shape &s, const Point &p, const Mixture &m, real *gy) {
    const Steps steps(s);
    long pixels = long(s.conv.out_height) * s.conv.out_width;
    for (int image = 0; image < s.conv.images; image++)
        over_channels(s, [&](long c, auto vectors) {
            constexpr int V = vectors;
            const Channels<V> s1(m.s1 + c), s2(m.s2 + c), b1(m.b1 + c), b2(m.b2 + c);
            const Channels<V> shift(m.shift + c);
            over_rows<V>(s, c, image * pixels, (image + 1) * pixels, [&](long i, int v) {
                vec g = load(m.y + i) * b1[v] + shift[v];
                if (BOTH) g += load(m.dy + i) * b2[v];
                store(gy + i, g);
            });
            over_windows<V>(s, c, image, [&](long i, int v, long j) {
                vec g = load(m.g1 + i) * s1[v];
                if (BOTH) g += load(m.g2 + i) * s2[v];
                g = load(p.z + i) > 0 ? g : vec{};
                if (!s.pools) return add(gy + j, g);
                mask place = load_places(p.place + i);
                for (int k = 0; k < 4; k++) add(gy + j + steps.to[k], place == k ? g : vec{});
            });
        });
}

static void forward(const Shape &s, const Point &p) {
    correlate(s.conv, p.x, p.filters, nullptr, nullptr, p.y);
    statistics(s, p);
    s.pools ? pool_and_activate(s, p) : activate(s, p);
}

static void backward(const Shape &s, const Point &p, real *gx, real *gw, real *g_gamma) {
    gradient_sums(s, p);
    for (int c = 0; c < s.conv.filters; c++) g_gamma[c] = p.r[c] * p.q[c];
    Mixture m(s.conv.filters, p.gz, nullptr, p.y, nullptr);
    backward_scales(s, p, m);
    mix<false>(s, p, m, p.gy);
    in_images(s.conv, p.gy, p.filters, nullptr, nullptr, gx);
    in_filters(s.conv, p.x, p.gy, nullptr, nullptr, gw);
}

static void tangent(const Shape &s, const Point &p, real *dz) {
    correlate(s.conv, p.x, p.d_filters, p.dx, p.filters, p.dy);
    statistics_along(s, p);
    if (s.pools) pool_along(s, p);
    activate_along(s, p, dz);
}

static void curvature(const Shape &s, const Point &p, const real *dgz, real *dgx, real *dgw,
                      real *dg_gamma, real *dg_beta) {
    Buffer dq(s.conv.filters), dgy(s.conv.rows() * s.conv.filters);
    gradient_sums_along(s, p, dgz, dg_beta, dq);
    for (int c = 0; c < s.conv.filters; c++) dg_gamma[c] = p.dr[c] * p.q[c] + p.r[c] * dq[c];
    Mixture m(s.conv.filters, dgz, p.gz, p.y, p.dy);
    curvature_scales(s, p, dg_beta, dq, m);
    mix<true>(s, p, m, dgy);
    in_images(s.conv, dgy, p.filters, p.gy, p.d_filters, dgx);
    in_filters(s.conv, p.x, dgy, p.dx, p.gy, dgw);
}

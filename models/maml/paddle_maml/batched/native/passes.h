// Batch norm, ReLU and pooling of one task, in passes over memory of one panel of channels each.
//
// The formulas are those of `Block` in batched/stages.py. Here the chosen outputs `top` are not
// centred, and where gamma < 0 the pooling chooses the least output instead of turning the filters.
#pragma once

#include <algorithm>

#include "convolution.h"

// What `forward` and `backward` found, and where `tangent` went; of one task, or of all in turn.
struct Point {
    const real *x, *filters, *gamma, *beta;
    real *y, *top;   // outputs of the convolution, and those that the pooling chose (without it
    uint8_t *place;  // y itself), with their places 0 to 3 in the windows
    real *mean, *r, *z;
    const real *gz;
    real *sum_g, *q, *gy;
    const real *dx, *d_filters, *d_gamma, *d_beta;
    real *dy, *d_top, *d_mean, *dr;
};

struct Shape {
    Convolution conv;
    int tasks, threads, pools;
    double epsilon;

    int down() const { return pools ? conv.out_height / 2 : conv.out_height; }
    int across() const { return pools ? conv.out_width / 2 : conv.out_width; }
    long windows() const { return long(conv.images) * down() * across(); }
};

// One number for each of V vectors of channels.
template <int V>
struct Channels {
    vec v[V] = {};

    Channels() = default;
    explicit Channels(const real *p) {
        for (int i = 0; i < V; i++) v[i] = load(p + i * LANES);
    }
    vec &operator[](int i) { return v[i]; }
    const vec &operator[](int i) const { return v[i]; }
    void store_to(real *p) const {
        for (int i = 0; i < V; i++) store(p + i * LANES, v[i]);
    }
};

// Calls `panel(first channel, Constant<V>)`.
template <class Panel>
static inline void over_channels(const Shape &s, Panel panel) {
    in_panels<PANEL>(s.conv.filters, 0, panel);
}

// Calls `at(i, v)` for the vectors of a panel in rows [first, last); i is the place in the array.
template <int V, class At>
static inline void over_rows(const Shape &s, long c, long first, long last, At at) {
    for (long row = first; row < last; row++)
        for (int v = 0; v < V; v++) at(row * s.conv.filters + c + v * LANES, v);
}

// Adds up `terms(i, v, sums)` in pieces, which keeps rounding errors small.
template <int V, int N, class Terms>
static inline void sum_rows(const Shape &s, long c, long rows, Channels<V> (&sums)[N],
                            Terms terms) {
    constexpr long SOME = 64;
    for (long first = 0; first < rows; first += SOME) {
        Channels<V> piece[N];
        over_rows<V>(s, c, first, std::min(rows, first + SOME),
                     [&](long i, int v) { terms(i, v, piece); });
        for (int k = 0; k < N; k++)
            for (int v = 0; v < V; v++) sums[k][v] += piece[k][v];
    }
}

// Calls `at(i, v, j)` for the vectors of a panel in the windows of an image: i is the place of the
// window, j that of the window's upper left output.
template <int V, class At>
static inline void over_windows(const Shape &s, long c, int image, At at) {
    long step = s.pools ? 2 : 1, down = s.down(), across = s.across(), n = s.conv.filters;
    for (long line = 0; line < down; line++) {
        long window = (image * down + line) * across;
        long row = (long(image) * s.conv.out_height + line * step) * s.conv.out_width;
        for (long j = 0; j < across; j++)
            for (int v = 0; v < V; v++)
                at((window + j) * n + c + v * LANES, v, (row + j * step) * n + c + v * LANES);
    }
}

// From the upper left output of a window to the four.
struct Steps {
    long to[4];
    explicit Steps(const Shape &s) {
        long right = s.conv.filters, below = right * s.conv.out_width;
        to[0] = 0, to[1] = right, to[2] = below, to[3] = below + right;
    }
};

static inline vec sign_of(vec x) { return x < 0 ? vec{} - 1 : vec{} + 1; }

// The greatest of four vectors times `sign`, and its place: of equal ones the first.
static inline vec greatest(const vec y[4], vec sign, mask &place) {
    vec top = y[0];
    place = mask{};
    for (int k = 1; k < 4; k++) {
        mask more = y[k] * sign > top * sign;
        top = more ? y[k] : top;
        place = more ? mask{} + k : place;
    }
    return top;
}

static inline vec chosen(const vec y[4], mask place) {
    vec found = y[0];
    for (int k = 1; k < 4; k++) found = place == k ? y[k] : found;
    return found;
}

// z = relu(scale top + shift), with gamma r and beta - gamma r mean.
struct Activation {
    Buffer scale, shift;

    Activation(const Shape &s, const Point &p) : scale(s.conv.filters), shift(s.conv.filters) {
        for (int c = 0; c < s.conv.filters; c++) {
            scale[c] = p.gamma[c] * p.r[c];
            shift[c] = p.beta[c] - scale[c] * p.mean[c];
        }
    }
};

static inline vec activated(vec top, vec scale, vec shift) {
    vec z = top * scale + shift;
    return z > 0 ? z : vec{};
}

static void activate(const Shape &s, const Point &p) {
    const Activation a(s, p);
    over_channels(s, [&](long c, auto vectors) {
        constexpr int V = vectors;
        const Channels<V> scale(a.scale + c), shift(a.shift + c);
        over_rows<V>(s, c, 0, s.windows(), [&](long i, int v) {
            store(p.z + i, activated(load(p.top + i), scale[v], shift[v]));
        });
    });
}

static void pool_and_activate(const Shape &s, const Point &p) {
    const Steps steps(s);
    const Activation a(s, p);
    for (int image = 0; image < s.conv.images; image++)
        over_channels(s, [&](long c, auto vectors) {
            constexpr int V = vectors;
            const Channels<V> gamma(p.gamma + c), scale(a.scale + c), shift(a.shift + c);
            over_windows<V>(s, c, image, [&](long i, int v, long j) {
                vec four[4];
                mask at;
                for (int k = 0; k < 4; k++) four[k] = load(p.y + j + steps.to[k]);
                vec top = greatest(four, sign_of(gamma[v]), at);
                store(p.top + i, top);
                store_places(p.place + i, at);
                store(p.z + i, activated(top, scale[v], shift[v]));
            });
        });
}

static void pool_along(const Shape &s, const Point &p) {
    const Steps steps(s);
    for (int image = 0; image < s.conv.images; image++)
        over_channels(s, [&](long c, auto vectors) {
            over_windows<vectors>(s, c, image, [&](long i, int, long j) {
                vec four[4];
                for (int k = 0; k < 4; k++) four[k] = load(p.dy + j + steps.to[k]);
                store(p.d_top + i, chosen(four, load_places(p.place + i)));
            });
        });
}

// Mean and 1 / sqrt(variance + epsilon) of y, merged of pieces (Chan, Golub and LeVeque, 1983).
static void statistics(const Shape &s, const Point &p) {
    constexpr long SOME = 64;
    long rows = s.conv.rows();
    over_channels(s, [&](long c, auto vectors) {
        constexpr int V = vectors;
        Channels<V> mean, square;
        for (long first = 0; first < rows; first += SOME) {
            long last = std::min(rows, first + SOME);
            real n = last - first;
            Channels<V> center, deviation;
            over_rows<V>(s, c, first, last, [&](long i, int v) { center[v] += load(p.y + i); });
            for (int v = 0; v < V; v++) center[v] /= n;
            over_rows<V>(s, c, first, last, [&](long i, int v) {
                vec d = load(p.y + i) - center[v];
                deviation[v] += d * d;
            });
            for (int v = 0; v < V; v++) {
                vec apart = center[v] - mean[v];
                mean[v] += apart * (n / last);
                square[v] += deviation[v] + apart * apart * (n * first / last);
            }
        }
        mean.store_to(p.mean + c);
        square.store_to(p.r + c);
    });
    for (int c = 0; c < s.conv.filters; c++)
        p.r[c] = 1 / std::sqrt(p.r[c] / rows + real(s.epsilon));
}

// The derivatives of `statistics`.
static void statistics_along(const Shape &s, const Point &p) {
    long rows = s.conv.rows();
    over_channels(s, [&](long c, auto vectors) {
        constexpr int V = vectors;
        const Channels<V> mean(p.mean + c);
        Channels<V> sums[2];
        sum_rows<V>(s, c, rows, sums, [&](long i, int v, Channels<V> *sum) {
            vec d = load(p.dy + i);
            sum[0][v] += d;
            sum[1][v] += d * (load(p.y + i) - mean[v]);
        });
        sums[0].store_to(p.d_mean + c);
        sums[1].store_to(p.dr + c);
    });
    for (int c = 0; c < s.conv.filters; c++) {
        p.d_mean[c] /= rows;
        p.dr[c] *= -p.r[c] * p.r[c] * p.r[c] / rows;
    }
}

// dz, the derivative of `activate`.
static void activate_along(const Shape &s, const Point &p, real *dz) {
    over_channels(s, [&](long c, auto vectors) {
        constexpr int V = vectors;
        const Channels<V> gamma(p.gamma + c), mean(p.mean + c), r(p.r + c), dr(p.dr + c);
        const Channels<V> d_gamma(p.d_gamma + c), d_beta(p.d_beta + c), d_mean(p.d_mean + c);
        Channels<V> scale, ds, shift;
        for (int v = 0; v < V; v++) {
            scale[v] = gamma[v] * r[v];
            ds[v] = d_gamma[v] * r[v] + gamma[v] * dr[v];
            shift[v] = d_beta[v] - scale[v] * d_mean[v] - ds[v] * mean[v];
        }
        over_rows<V>(s, c, 0, s.windows(), [&](long i, int v) {
            vec d = load(p.d_top + i) * scale[v] + load(p.top + i) * ds[v] + shift[v];
            store(dz + i, load(p.z + i) > 0 ? d : vec{});
        });
    });
}

// sum(g) and q = sum(g (top - mean)), where g is gz behind the ReLU.
static void gradient_sums(const Shape &s, const Point &p) {
    over_channels(s, [&](long c, auto vectors) {
        constexpr int V = vectors;
        const Channels<V> mean(p.mean + c);
        Channels<V> sums[2];
        sum_rows<V>(s, c, s.windows(), sums, [&](long i, int v, Channels<V> *sum) {
            vec g = load(p.z + i) > 0 ? load(p.gz + i) : vec{};
            sum[0][v] += g;
            sum[1][v] += g * (load(p.top + i) - mean[v]);
        });
        sums[0].store_to(p.sum_g + c);
        sums[1].store_to(p.q + c);
    });
}

// The derivatives of `gradient_sums`, where that of gz is dgz.
static void gradient_sums_along(const Shape &s, const Point &p, const real *dgz, real *d_sum,
                                real *dq) {
    over_channels(s, [&](long c, auto vectors) {
        constexpr int V = vectors;
        const Channels<V> mean(p.mean + c), d_mean(p.d_mean + c);
        Channels<V> sums[2];
        sum_rows<V>(s, c, s.windows(), sums, [&](long i, int v, Channels<V> *sum) {
            mask live = load(p.z + i) > 0;
            vec dg = live ? load(dgz + i) : vec{}, g = live ? load(p.gz + i) : vec{};
            sum[0][v] += dg;
            sum[1][v] += dg * (load(p.top + i) - mean[v]) + g * (load(p.d_top + i) - d_mean[v]);
        });
        sums[0].store_to(d_sum + c);
        sums[1].store_to(dq + c);
    });
}

// What Python calls: the four methods of a block, for all tasks; each returns 0, or 1 without
// memory.
#include <pthread.h>

#include "data_block.h"

// Threads for a team: a forked child has none of its parent's, for which a team would wait.
static int team(int threads) {
    static bool forked = false;
    static int noted = pthread_atfork(nullptr, nullptr, [] { forked = true; });
    return forked || noted ? 1 : threads;
}

// `p`, moved to one task.
static Point at_task(const Shape &s, const Point &p, int task) {
    long n = s.conv.filters, of_x = s.conv.rows_in() * s.conv.channels * task;
    long of_filters = s.conv.patch() * n * task, of_y = s.conv.rows() * n * task;
    long of_z = s.windows() * n * task, of_channels = n * task;
    auto move = [](auto pointer, long by) { return pointer ? pointer + by : pointer; };
    return Point{
        move(p.x, of_x),
        move(p.filters, of_filters),
        move(p.gamma, of_channels),
        move(p.beta, of_channels),
        move(p.y, of_y),
        move(p.top, of_z),
        move(p.place, of_z),
        move(p.mean, of_channels),
        move(p.r, of_channels),
        move(p.z, of_z),
        move(p.gz, of_z),
        move(p.sum_g, of_channels),
        move(p.q, of_channels),
        move(p.gy, of_y),
        move(p.dx, of_x),
        move(p.d_filters, of_filters),
        move(p.d_gamma, of_channels),
        move(p.d_beta, of_channels),
        move(p.dy, of_y),
        move(p.d_top, of_z),
        move(p.d_mean, of_channels),
        move(p.dr, of_channels),
    };
}

static Patches at_task(const Shape &s, const Patches &d, int task) {
    long width = s.conv.patch(), of_filters = width * s.conv.filters * task;
    return Patches{d.mean + width * task, d.covariance + width * width * task, d.cw + of_filters,
                   d.d_cw ? d.d_cw + of_filters : nullptr};
}

template <class Work>
static int each_task(const Shape &s, Work work) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(team(s.threads)) reduction(| : failed)
    for (int task = 0; task < s.tasks; task++) {
        try {
            work(task);
        } catch (const std::bad_alloc &) {
            failed = 1;
        }
    }
    return failed;
}

// `d` is null for all blocks but a first one. Outputs of all tasks follow one another.
extern "C" {

// g becomes w - inner_lr g.
void gradient_step(long count, int threads, double inner_lr, const real *w, real *g) {
#pragma omp parallel for simd num_threads(team(threads)) if (count > 1 << 16)
    for (long i = 0; i < count; i++) g[i] = w[i] - real(inner_lr) * g[i];
}

int patches(const Shape *s, const real *x, real *mean, real *covariance) {
    long width = s->conv.patch(), of_x = s->conv.rows_in() * s->conv.channels;
    return each_task(*s, [&](int t) {
        patch_statistics(s->conv, x + of_x * t, mean + width * t, covariance + width * width * t);
    });
}

int block_forward(const Shape *s, const Patches *d, const Point *point) {
    return each_task(*s, [&](int t) {
        Point p = at_task(*s, *point, t);
        d ? data_forward(*s, at_task(*s, *d, t), p) : forward(*s, p);
    });
}

int block_backward(const Shape *s, const Patches *d, const Point *point, real *gx, real *gw,
                   real *g_gamma) {
    long n = s->conv.filters, of_w = s->conv.patch() * n;
    long of_x = s->conv.rows_in() * s->conv.channels;
    return each_task(*s, [&](int t) {
        Point p = at_task(*s, *point, t);
        if (d)
            data_backward(*s, at_task(*s, *d, t), p, gw + of_w * t, g_gamma + n * t);
        else
            backward(*s, p, gx + of_x * t, gw + of_w * t, g_gamma + n * t);
    });
}

int block_tangent(const Shape *s, const Patches *d, const Point *point, real *dz) {
    long of_z = s->windows() * s->conv.filters;
    return each_task(*s, [&](int t) {
        Point p = at_task(*s, *point, t);
        d ? data_tangent(*s, at_task(*s, *d, t), p, dz + of_z * t) : tangent(*s, p, dz + of_z * t);
    });
}

int block_curvature(const Shape *s, const Patches *d, const Point *point, const real *dgz,
                    real *dgx, real *dgw, real *dg_gamma, real *dg_beta) {
    long n = s->conv.filters, of_w = s->conv.patch() * n;
    long of_x = s->conv.rows_in() * s->conv.channels, of_z = s->windows() * n;
    return each_task(*s, [&](int t) {
        Point p = at_task(*s, *point, t);
        const real *g = dgz + of_z * t;
        real *gw = dgw + of_w * t, *gamma = dg_gamma + n * t, *beta = dg_beta + n * t;
        if (d)
            data_curvature(*s, at_task(*s, *d, t), p, g, gw, gamma, beta);
        else
            curvature(*s, p, g, dgx + of_x * t, gw, gamma, beta);
    });
}
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sums of _swarm_forces.pyx over a few dozen particles: the operations of ASSIST's forces.c (Holman et al. 2023, PSJ 4,
 * 69; GPL-3.0-or-later) in its order, in loops that a compiler makes vector instructions of. Lengths are au, times days. */

#ifndef ORRERY_PULLS_H
#define ORRERY_PULLS_H

#include <math.h>

/* Chosen when the program starts. AVX2 without FMA: a fused product would have other bits. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__)
#define ORRERY_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define ORRERY_WIDE
#endif

#define ORRERY_TOGETHER 64

/* Positions, velocities and accelerations of particles, barycentric. */
struct orrery_few {
    double x[ORRERY_TOGETHER], y[ORRERY_TOGETHER], z[ORRERY_TOGETHER];
    double vx[ORRERY_TOGETHER], vy[ORRERY_TOGETHER], vz[ORRERY_TOGETHER];
    double ax[ORRERY_TOGETHER], ay[ORRERY_TOGETHER], az[ORRERY_TOGETHER];
};

/* A body. */
struct orrery_point {
    double gm, x, y, z, vx, vy, vz;
};

/* A body pulls as a point. */
ORRERY_WIDE static void orrery_attract(struct orrery_few *few, const struct orrery_point *body)
{
    const double gm = body->gm, px = body->x, py = body->y, pz = body->z;
    for (int j = 0; j < ORRERY_TOGETHER; j++) {
        const double dx = few->x[j] - px, dy = few->y[j] - py, dz = few->z[j] - pz;
        const double r = sqrt(dx * dx + dy * dy + dz * dz);
        const double factor = gm / (r * r * r);
        few->ax[j] -= factor * dx;
        few->ay[j] -= factor * dy;
        few->az[j] -= factor * dz;
    }
}

/* Relativity of the Sun alone (Damour & Deruelle 1985). c2: the speed of light squared. */
ORRERY_WIDE static void orrery_bend(struct orrery_few *few, const struct orrery_point *sun, double c2)
{
    const double gm = sun->gm, sx = sun->x, sy = sun->y, sz = sun->z, svx = sun->vx, svy = sun->vy, svz = sun->vz;
    for (int j = 0; j < ORRERY_TOGETHER; j++) {
        const double x = few->x[j] - sx, y = few->y[j] - sy, z = few->z[j] - sz;
        const double vx = few->vx[j] - svx, vy = few->vy[j] - svy, vz = few->vz[j] - svz;
        const double v2 = vx * vx + vy * vy + vz * vz;
        const double r = sqrt(x * x + y * y + z * z);
        const double a = 4.0 * gm / r - v2;
        const double b = 4.0 * (x * vx + y * vy + z * vz);
        const double factor = gm / (r * r * r * c2);
        few->ax[j] += factor * (a * x + b * vx);
        few->ay[j] += factor * (a * y + b * vy);
        few->az[j] += factor * (a * z + b * vz);
    }
}

/* Oblateness of the Sun, whose pole is at right ascension 286.13 deg and declination 63.87 deg. */
ORRERY_WIDE static void orrery_flatten(struct orrery_few *few, const struct orrery_point *sun, double j2, double radius)
{
    const double cosa = cos(286.13 * M_PI / 180.), sina = sin(286.13 * M_PI / 180.);
    const double cosd = cos(63.87 * M_PI / 180.), sind = sin(63.87 * M_PI / 180.);
    const double gm = sun->gm, sx = sun->x, sy = sun->y, sz = sun->z;
    for (int j = 0; j < ORRERY_TOGETHER; j++) {
        const double x = few->x[j] - sx, y = few->y[j] - sy, z = few->z[j] - sz;
        const double r2 = x * x + y * y + z * z;
        const double r = sqrt(r2);
        /* In the axes of the Sun's equator, and back. */
        const double dx = -x * sina + y * cosa;
        const double dy = -x * cosa * sind - y * sina * sind + z * cosd;
        const double dz = x * cosa * cosd + y * sina * cosd + z * sind;
        const double cos2 = dz * dz / r2;
        const double factor = 3. * j2 * radius * radius / r2 / r2 / r / 2.;
        const double shape = 5. * cos2 - 1.;
        const double px = gm * factor * shape * dx;
        const double py = gm * factor * shape * dy;
        const double pz = gm * factor * (shape - 2.) * dz;
        few->ax[j] += -px * sina - py * cosa * sind + pz * cosa * cosd;
        few->ay[j] += px * cosa - py * sina * sind + pz * sina * cosd;
        few->az[j] += py * cosd + pz * sind;
    }
}

#endif

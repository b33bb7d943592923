# SPDX-License-Identifier: GPL-3.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Minimum distance of pairs of confocal conics: the compiled core of `gateway.neo.moid`.

Method. One conic is walked ("path"), and for each of its points the nearest point ("foot") of the other, an
ellipse ("base"), is solved, which leaves one function D(h) of one variable. The idea of scanning one orbit and
solving the other is that of Wisniowski & Rickman 2013 (Acta Astron. 63, 293) and of Baluev & Mikryukov 2019
(Astron. Comput. 27, 11); what is done here:

1. The distances at the mutual nodes and at the apsides bound the answer from above. Only the arcs of the path
   whose distance from the Sun allows less are walked.
2. The walk never looks where it need not: a point at distance d from the base rules out every point of the path
   nearer to it than d minus the best distance so far. Elsewhere it goes on by a fixed step, and the signs of
   dD/dh tell the intervals that hold a minimum. Where the foot jumps from one side of the base to the other both
   branches are followed.
3. Each minimum is finished by Newton's method on half the squared distance of the two anomalies, held in its
   interval by bisection.
4. A certificate, where asked for, uses the exclusion of step 2 alone: it walks every arc in steps so short that each
   point rules out all that is nearer than the answer less a tolerance, up to the next point.

The more eccentric orbit is the path: near a nearly circular base the foot does not jump. The path's variable h is
half the eccentric (hyperbolic) anomaly and coordinates are x = q - 2 a sin(h)^2, y = b sin(2 h), which lose no
digits as e nears 1. Lengths are au; axes are those of the base: x to its perihelion, y ahead, z along its pole.
"""

from libc.math cimport asin, asinh, atan2, cos, cosh, fabs, floor, sin, sinh, sqrt, M_PI, INFINITY

cdef extern from "<float.h>" nogil:
    const double EPS "DBL_EPSILON"

cdef enum:
    MAX_HALVINGS = 9    # of a step of the walk
    MAX_LOOKS = 100000  # of a certificate

cdef double SCAN_TOLERANCE = 1e-6

cdef struct Conic:
    # Half-angle form: x = q - a2 * sin(h)^2, y = b * sin(2 h), with sinh for an unbound orbit.
    double q
    double e
    double a2          # twice the semi-major axis, absolute
    double b           # semi-minor axis
    bint bound
    double px[3]       # unit vectors to perihelion and ahead of it, in the axes of the base
    double py[3]

cdef struct Point:
    # A point of the path with its foot on the base.
    double h
    double distance2
    double slope       # half of dD/dh
    double curve       # half of d2D/dh2
    double radius      # |r|
    double speed       # |dr/dh|
    double foot_cos    # of the foot's eccentric anomaly
    double foot_sin
    double position[3]

cdef struct Search:
    Conic path
    Conic base
    double a           # the base's semi-axes
    double b
    double step        # of the walk, in h, at most
    double bend        # bound of |d2r/dh2| on the arcs walked
    double best2       # smallest squared distance so far, and where
    double best_h
    double best_k
    bint rests         # whether Newton's method came to rest there
    double error
    int arcs           # of the path that are walked, from h to h
    double arc_start[2]
    double arc_end[2]


cdef inline double fmax(double a, double b) noexcept nogil:
    # One instruction; C's own is a call, for NaN's sake.
    return a if a > b else b


cdef inline double fmin(double a, double b) noexcept nogil:
    return a if a < b else b


cdef void set_conic(Conic* conic, double q, double e) noexcept nogil:
    # A parabola is taken as the ellipse two last bits of e away: nearer than e can be known.
    if fabs(1.0 - e) < 4.0 * EPS:
        e = 1.0 - 4.0 * EPS
    conic.q = q
    conic.e = e
    conic.bound = e < 1.0
    conic.a2 = 2.0 * q / fabs(1.0 - e)
    conic.b = q * sqrt((1.0 + e) / fabs(1.0 - e))


cdef inline void half_angle(const Conic* conic, double h, double* s, double* s2, double* c2) noexcept nogil:
    # sin h, sin 2h, cos 2h, or their hyperbolic namesakes.
    cdef double c
    if conic.bound:
        s[0] = sin(h)
        c = cos(h)
        c2[0] = 1.0 - 2.0 * s[0] * s[0]
    else:
        s[0] = sinh(h)
        c = cosh(h)
        c2[0] = 1.0 + 2.0 * s[0] * s[0]
    s2[0] = 2.0 * s[0] * c


cdef inline double at_true_anomaly(const Conic* conic, double nu) noexcept nogil:
    # h at a true anomaly short of the asymptote.
    cdef double ratio = sqrt(fabs(1.0 - conic.e) / (1.0 + conic.e))
    cdef double tangent
    if conic.bound:
        return atan2(ratio * sin(0.5 * nu), cos(0.5 * nu))
    tangent = ratio * sin(0.5 * nu) / cos(0.5 * nu)
    return asinh(tangent / sqrt(1.0 - tangent * tangent))


cdef double true_anomaly(const Conic* conic, double h) noexcept nogil:
    cdef double s, s2, c2
    half_angle(conic, h, &s, &s2, &c2)
    return atan2(conic.b * s2, conic.q - conic.a2 * s * s)


cdef inline void difference(const Search* search, double h, double k, double* delta) noexcept nogil:
    # Path minus base, at half anomalies h and k.
    cdef double s, s2, c2, x, y
    cdef int i
    half_angle(&search.path, h, &s, &s2, &c2)
    x = search.path.q - search.path.a2 * s * s
    y = search.path.b * s2
    for i in range(3):
        delta[i] = x * search.path.px[i] + y * search.path.py[i]
    half_angle(&search.base, k, &s, &s2, &c2)
    delta[0] -= search.base.q - search.base.a2 * s * s
    delta[1] -= search.base.b * s2


cdef inline void offer(Search* search, double h, double k, double distance2) noexcept nogil:
    if distance2 < search.best2:
        search.best2 = distance2
        search.best_h = h
        search.best_k = k
        search.rests = False


cdef bint rest(Search* search, double h, double k, double distance2, double scale, double curvature) noexcept nogil:
    # Newton's method ends here: take the point if it is the best but for round-off.
    # Round-off of the gradient moves the squared distance by its square over the least curvature.
    cdef double fall, distance = sqrt(distance2)
    if distance <= sqrt(search.best2) + 4.0 * EPS * scale:
        fall = EPS * EPS * scale * scale / fmax(curvature, EPS)
        search.error = 8.0 * EPS * scale + fmin(fall / (distance + sqrt(distance2 + fall)), distance)
        search.best2 = fmin(distance2, search.best2)
        search.best_h = h
        search.best_k = k
        search.rests = True
    return True


cdef void offer_pair(Search* search, double h, double k) noexcept nogil:
    cdef double delta[3]
    difference(search, h, k, delta)
    offer(search, h, k, delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2])


cdef void solve_foot(const Search* search, Point* point, double tolerance) noexcept nogil:
    # Nearest point of the base's ellipse: the secular equation |(px / (s + a e^2), (b / a) py / s)| = 1, s > 0, for
    # a point (px, py) from the centre. The reciprocal of its left side is concave in s, so Newton's method rises to
    # the root from any lower bound. Distances from the centre are never subtracted: a may be huge.
    cdef double e = search.base.e, focus = search.a * e, flat = search.b / search.a
    cdef double x = point.position[0] + focus
    cdef double y = point.position[1]
    cdef double px = fabs(x), py = flat * fmax(fabs(y), 1e-60 * search.b)
    # gap = a e^2 - px
    cdef double gap = -(e * search.base.q + point.position[0]) if x >= 0.0 else focus * e - px
    cdef double low = fmax(py, -gap)
    cdef double s = low if e > 0.5 else fmax(flat * sqrt(px * px + y * y), low)
    cdef double u, w, over, norm, move, next_s, wide
    cdef int i
    for i in range(60):
        wide = s + focus * e
        u = px / wide
        w = py / s
        over = w * w - (s + gap) / wide * (1.0 + u)  # the square of the norm, less 1
        norm = sqrt(1.0 + over)
        next_s = fmax(s + (1.0 + over) * over / ((1.0 + norm) * (u * u / wide + w * w / s)), low)
        move = fabs(next_s - s)
        s = next_s
        if move <= tolerance * s:
            break
    u = px / (s + focus * e)
    w = py / s
    norm = sqrt(u * u + w * w)
    point.foot_cos = u / norm if x >= 0.0 else -u / norm
    point.foot_sin = w / norm if y >= 0.0 else -w / norm


cdef void look(const Search* search, double h, double tolerance, Point* point) noexcept nogil:
    # Fill a point of the path: foot, squared distance and its two derivatives.
    cdef const Conic* path = &search.path
    cdef double s, s2, c2, x, y, dx, dy, ddx, ddy, dfx, dfy, fhh, fkk, fhk, rate_x, rate_y, below
    cdef double delta[3]
    cdef int i
    half_angle(path, h, &s, &s2, &c2)
    x = path.q - path.a2 * s * s
    y = path.b * s2
    dx = -path.a2 * s2
    dy = 2.0 * path.b * c2
    ddx = -2.0 * path.a2 * c2
    ddy = -4.0 * path.b * s2 if path.bound else 4.0 * path.b * s2
    point.h = h
    for i in range(3):
        point.position[i] = x * path.px[i] + y * path.py[i]
    solve_foot(search, point, tolerance)
    below = point.foot_sin * point.foot_sin / (1.0 + point.foot_cos) if point.foot_cos > 0.0 else 1.0 - point.foot_cos
    delta[0] = point.position[0] - search.base.q + search.a * below
    delta[1] = point.position[1] - search.b * point.foot_sin
    delta[2] = point.position[2]
    point.radius = sqrt(x * x + y * y)
    point.speed = sqrt(dx * dx + dy * dy)
    point.distance2 = delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2]
    point.slope = 0.0
    fhh = point.speed * point.speed
    for i in range(3):
        point.slope += delta[i] * (dx * path.px[i] + dy * path.py[i])
        fhh += delta[i] * (ddx * path.px[i] + ddy * path.py[i])
    # The foot moves along: what its freedom takes off the curvature (k is the base's eccentric anomaly).
    dfx = -search.a * point.foot_sin
    dfy = search.b * point.foot_cos
    rate_x = dx * path.px[0] + dy * path.py[0]
    rate_y = dx * path.px[1] + dy * path.py[1]
    fhk = rate_x * dfx + rate_y * dfy
    fkk = dfx * dfx + dfy * dfy + delta[0] * search.a * point.foot_cos + delta[1] * search.b * point.foot_sin
    point.curve = fhh - fhk * fhk / fkk if fkk > 0.0 else -INFINITY


cdef inline double half_foot(const Point* point) noexcept nogil:
    return 0.5 * atan2(point.foot_sin, point.foot_cos)


cdef bint newton(Search* search, double* h, double* k) noexcept nogil:
    # Newton's method on half the squared distance; True when it came to rest at a minimum.
    cdef const Conic* path = &search.path
    cdef const Conic* base = &search.base
    cdef double s, s2, c2, x, y, dx, dy, ddx, ddy, fx, fy, dfx, dfy, ddfx, ddfy
    cdef double fh, fk, fhh, fkk, fhk, det, move_h, move_k, length2, speed2, rate2, scale, noise, distance2
    cdef double delta[3]
    cdef double rate[3]
    cdef double turn[3]
    cdef int i, n
    cdef double sign = 1.0 if path.bound else -1.0
    cdef bint last = False
    for n in range(12):
        half_angle(path, h[0], &s, &s2, &c2)
        x = path.q - path.a2 * s * s
        y = path.b * s2
        dx = -path.a2 * s2
        dy = 2.0 * path.b * c2
        ddx = -2.0 * path.a2 * c2
        ddy = -4.0 * sign * path.b * s2
        half_angle(base, k[0], &s, &s2, &c2)
        fx = base.q - base.a2 * s * s
        fy = base.b * s2
        dfx = -base.a2 * s2
        dfy = 2.0 * base.b * c2
        ddfx = -2.0 * base.a2 * c2
        ddfy = -4.0 * base.b * s2
        for i in range(3):
            delta[i] = x * path.px[i] + y * path.py[i]
            rate[i] = dx * path.px[i] + dy * path.py[i]
            turn[i] = ddx * path.px[i] + ddy * path.py[i]
        scale = sqrt(fmax(x * x + y * y, fx * fx + fy * fy))
        delta[0] -= fx
        delta[1] -= fy
        distance2 = delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2]
        offer(search, h[0], k[0], distance2)
        speed2 = dx * dx + dy * dy
        rate2 = dfx * dfx + dfy * dfy
        fh = delta[0] * rate[0] + delta[1] * rate[1] + delta[2] * rate[2]
        fk = -delta[0] * dfx - delta[1] * dfy
        fhh = speed2 + delta[0] * turn[0] + delta[1] * turn[1] + delta[2] * turn[2]
        fkk = rate2 - delta[0] * ddfx - delta[1] * ddfy
        fhk = -rate[0] * dfx - rate[1] * dfy
        det = fhh * fkk - fhk * fhk
        # A gradient of round-off is rest, whatever the curvature (identical or concentric orbits have none).
        noise = 2.0 * EPS * scale
        if last or (fh * fh <= noise * noise * speed2 and fk * fk <= noise * noise * rate2):
            return rest(search, h[0], k[0], distance2, scale, det / (fhh * rate2 + fkk * speed2))
        if fhh <= 0.0 or det <= 1e-15 * fhh * fkk:
            return False
        move_h = -(fh * fkk - fk * fhk) / det
        move_k = -(fk * fhh - fh * fhk) / det
        length2 = move_h * move_h * speed2 + move_k * move_k * rate2
        if length2 > 0.25 * scale * scale:
            return False
        h[0] += move_h
        k[0] += move_k
        last = length2 <= 1e-18 * scale * scale
    return False


cdef bint same_side(const Search* search, const Point* low, const Point* high) noexcept nogil:
    # Whether the foot surely went from one to the other without a jump across the base's major axis.
    cdef double fx, fy, px, py, pz
    if low.foot_sin * high.foot_sin >= 0.0:
        return True
    if low.foot_cos * high.foot_cos + low.foot_sin * high.foot_sin < 0.98:
        return False
    fx = search.a * (low.foot_cos - high.foot_cos)
    fy = search.b * (low.foot_sin - high.foot_sin)
    px = low.position[0] - high.position[0]
    py = low.position[1] - high.position[1]
    pz = low.position[2] - high.position[2]
    return fx * fx + fy * fy <= 4.0 * (px * px + py * py + pz * pz)


cdef void refine(Search* search, Point low, Point high, bint jump, bint from_high) noexcept nogil:
    # Find the minimum of one interval; with a jump inside, the one on the side of the chosen end.
    cdef Point middle
    cdef double h, k, slack, foot_sin = high.foot_sin if from_high else low.foot_sin
    cdef int n
    slack = 1e-6 * (high.h - low.h)
    if jump:
        middle = high if from_high else low
    else:
        h = low.h + (high.h - low.h) * low.slope / (low.slope - high.slope)
        look(search, h, 1e-6, &middle)
    for n in range(50):
        h = middle.h
        k = half_foot(&middle)
        if newton(search, &h, &k) and low.h - slack <= h <= high.h + slack:
            return
        if n > 0 or not jump:
            if jump and middle.foot_sin * foot_sin < 0.0:
                if from_high:
                    low = middle
                else:
                    high = middle
            elif middle.slope < 0.0:
                low = middle
            else:
                high = middle
        look(search, 0.5 * (low.h + high.h), 1e-13, &middle)
        offer(search, middle.h, half_foot(&middle), middle.distance2)


cdef inline double reach(const Search* search, const Point* point) noexcept nogil:
    # How far in h the path stays farther from the base than the best: v j + bend j^2 / 2 <= d - best.
    cdef double spare = sqrt(point.distance2) - sqrt(search.best2)
    if spare <= 0.0:
        return 0.0
    return 2.0 * spare / (point.speed + sqrt(point.speed * point.speed + 2.0 * search.bend * spare))


cdef inline bint already_found(const Search* search, const Point* low, const Point* high) noexcept nogil:
    # Whether the best minimum so far surely lies in an interval: there, and on the base's side where its feet are.
    cdef double s, c, h = search.best_h - low.h
    if search.path.bound:
        h -= M_PI * floor(h / M_PI)
    if not search.rests or h < 0.0 or h > high.h - low.h:
        return False
    c = cos(2.0 * search.best_k)
    s = sin(2.0 * search.best_k)
    return s * low.foot_sin >= 0.0 and c * low.foot_cos + s * low.foot_sin > 0.98


cdef void examine(Search* search, const Point* low, const Point* high, int halvings) noexcept nogil:
    # Find what minima better than the best an interval may hold.
    # Slope and curve at the ends make a cubic of the slope; the sign changes of its Bernstein coefficients bound
    # the number of its roots. None and one are plain; more, or nearly more, make the interval be halved.
    cdef Point middle
    cdef double width = high.h - low.h
    cdef double b1, b2, size, doubt
    cdef bint jump = not same_side(search, low, high)
    cdef bint plain = False
    if reach(search, low) + reach(search, high) >= width:
        return
    if not jump:
        b1 = low.slope + width * low.curve / 3.0
        b2 = high.slope - width * high.curve / 3.0
        size = fmax(fmax(fabs(low.slope), fabs(high.slope)), fmax(fabs(b1), fabs(b2)))
        if size * width <= EPS * (search.best2 + EPS * low.radius * low.radius):
            return
        doubt = 0.1 * size
        if low.slope < 0.0 and high.slope < 0.0:
            if b1 < -doubt and b2 < -doubt:
                return
        elif low.slope > 0.0 and high.slope > 0.0:
            if b1 > doubt and b2 > doubt:
                return
        elif low.slope <= 0.0:
            plain = b1 < -doubt or b2 > doubt
        else:
            plain = b1 > doubt or b2 < -doubt
            if plain:
                return
    if not plain and halvings > 0:
        look(search, low.h + 0.5 * width, SCAN_TOLERANCE, &middle)
        examine(search, low, &middle, halvings - 1)
        examine(search, &middle, high, halvings - 1)
    elif plain and already_found(search, low, high):
        return
    else:
        if low.slope <= 0.0 and (high.slope >= 0.0 or jump):
            refine(search, low[0], high[0], jump, False)
        if high.slope >= 0.0 and jump:
            refine(search, low[0], high[0], jump, True)


cdef void walk(Search* search, double start, double end) noexcept nogil:
    # Along the path in steps of a fixed angle as seen from the Sun, or longer where nothing can be missed.
    cdef Point here, there
    cdef double step, free
    look(search, start, SCAN_TOLERANCE, &here)
    while here.h < end:
        step = search.step * fmin(1.0, 2.0 * here.radius / here.speed)
        free = reach(search, &here)
        look(search, here.h + fmax(step, free), SCAN_TOLERANCE, &there)
        if free < step:
            examine(search, &here, &there, MAX_HALVINGS)
        here = there


cdef void bound_above(Search* search) noexcept nogil:
    # Distances on the line of the mutual nodes and at the path's perihelion: an upper bound of the answer.
    cdef double nx, ny, x, y, size, h, k
    cdef Point point
    cdef int i
    # The path's pole times the base's pole (0, 0, 1) points along the nodes.
    nx = search.path.px[1] * search.path.py[2] - search.path.px[2] * search.path.py[1]
    ny = search.path.px[2] * search.path.py[0] - search.path.px[0] * search.path.py[2]
    size = sqrt(nx * nx + ny * ny)
    if size < 1e-12:
        nx, ny, size = 1.0, 0.0, 1.0
    nx, ny = ny / size, -nx / size
    for i in range(2):
        x = search.path.px[0] * nx + search.path.px[1] * ny
        y = search.path.py[0] * nx + search.path.py[1] * ny
        if search.path.bound or 1.0 + search.path.e * x > 1e-3:
            h = at_true_anomaly(&search.path, atan2(y, x))
            k = at_true_anomaly(&search.base, atan2(ny, nx))
            newton(search, &h, &k)
        nx, ny = -nx, -ny
    look(search, 0.0, 1e-5, &point)
    offer_pair(search, 0.0, half_foot(&point))
    if search.path.bound:
        look(search, 0.5 * M_PI, 1e-5, &point)
        offer_pair(search, 0.5 * M_PI, half_foot(&point))


cdef inline double half_anomaly_at(const Conic* conic, double radius) noexcept nogil:
    # h > 0 where the orbit has this distance from the Sun, 0 below perihelion, pi / 2 from aphelion on.
    cdef double square = radius - conic.q
    if square <= 0.0:
        return 0.0
    if conic.bound and square >= conic.a2 * conic.e:
        return 0.5 * M_PI
    square = sqrt(square / (conic.a2 * conic.e))
    return asin(square) if conic.bound else asinh(square)


cdef void search_pair(Search* search, int points) noexcept nogil:
    cdef double best, low, high, s, s2, c2, h, k
    cdef double aphelion
    cdef int arc
    search.a = 0.5 * search.base.a2
    search.b = search.base.b
    aphelion = search.a * (1.0 + search.base.e)
    search.best2 = INFINITY
    search.rests = False
    bound_above(search)
    best = sqrt(search.best2)
    low = half_anomaly_at(&search.path, search.base.q - best)
    high = half_anomaly_at(&search.path, aphelion + best)
    search.step = M_PI / points
    if search.path.bound:
        search.bend = 2.0 * search.path.a2
    else:
        half_angle(&search.path, high + 2.0 * search.step, &s, &s2, &c2)
        search.bend = sqrt((2.0 * search.path.a2 * c2) ** 2 + (4.0 * search.path.b * s2) ** 2)
    search.arcs = 1
    search.arc_start[0] = low - search.step
    search.arc_end[0] = high + search.step
    if search.path.bound and high + search.step >= 0.5 * M_PI:
        search.arc_end[0] = M_PI - low + search.step
        if low <= search.step:
            search.arc_start[0] = -0.5 * M_PI
            search.arc_end[0] = 0.5 * M_PI
    elif low <= search.step:
        search.arc_start[0] = -high - search.step
    else:
        search.arcs = 2
        search.arc_start[1] = -high - search.step
        search.arc_end[1] = -low + search.step
    for arc in range(search.arcs):
        walk(search, search.arc_start[arc], search.arc_end[arc])
    if not search.rests:
        h, k = search.best_h, search.best_k
        newton(search, &h, &k)


cdef bint certify(const Search* search, double tolerance) noexcept nogil:
    # Whether surely no point of the path is nearer to the base than the best less the tolerance. The arcs that are
    # not walked are ruled out by their distance from the Sun.
    cdef Point point
    cdef double h, spare, floor_distance = sqrt(search.best2) - tolerance
    cdef int arc, looks = 0
    if floor_distance <= 0.0:
        return True
    for arc in range(search.arcs):
        h = search.arc_start[arc]
        while h < search.arc_end[arc]:
            look(search, h, 1e-13, &point)
            spare = sqrt(point.distance2) - floor_distance
            looks += 1
            if spare <= 0.0 or looks > MAX_LOOKS:
                return False
            h += 2.0 * spare / (point.speed + sqrt(point.speed * point.speed + 2.0 * search.bend * spare))
    return True


cdef void set_axes(double inclination_deg, double node_deg, double argument_deg, double* axes) noexcept nogil:
    # Unit vectors to perihelion and ahead of it, ecliptic.
    cdef double turn = M_PI / 180.0
    cdef double ci = cos(inclination_deg * turn), si = sin(inclination_deg * turn)
    cdef double cn = cos(node_deg * turn), sn = sin(node_deg * turn)
    cdef double cw = cos(argument_deg * turn), sw = sin(argument_deg * turn)
    axes[0] = cn * cw - sn * sw * ci
    axes[1] = sn * cw + cn * sw * ci
    axes[2] = sw * si
    axes[3] = -cn * sw - sn * cw * ci
    axes[4] = -sn * sw + cn * cw * ci
    axes[5] = cw * si


cdef bint search_conics(
    Search* search,
    double q, double e, const double* axes,
    double reference_q, double reference_e, const double* reference_axes,
    int points,
) noexcept nogil:
    # Search one pair; True where the reference is the path, being the more eccentric.
    cdef bint swapped = e < reference_e
    cdef const double* path = reference_axes if swapped else axes
    cdef const double* base = axes if swapped else reference_axes
    cdef double pole[3]
    set_conic(&search.path, reference_q if swapped else q, reference_e if swapped else e)
    set_conic(&search.base, q if swapped else reference_q, e if swapped else reference_e)
    pole[0] = base[1] * base[5] - base[2] * base[4]
    pole[1] = base[2] * base[3] - base[0] * base[5]
    pole[2] = base[0] * base[4] - base[1] * base[3]
    search.path.px[0] = path[0] * base[0] + path[1] * base[1] + path[2] * base[2]
    search.path.px[1] = path[0] * base[3] + path[1] * base[4] + path[2] * base[5]
    search.path.px[2] = path[0] * pole[0] + path[1] * pole[1] + path[2] * pole[2]
    search.path.py[0] = path[3] * base[0] + path[4] * base[1] + path[5] * base[2]
    search.path.py[1] = path[3] * base[3] + path[4] * base[4] + path[5] * base[5]
    search.path.py[2] = path[3] * pole[0] + path[4] * pole[1] + path[5] * pole[2]
    search_pair(search, points)
    return swapped


def minimum_distances(
    const double[:, :] objects,
    const double[:, :] references,
    const Py_ssize_t[::1] reference_row,
    int points,
    double tolerance,
    double[:, ::1] out,
):
    """Minimum distances of N pairs of conics with the Sun in their common focus; releases the GIL.

    Args:
        objects: shape (N, 5 or more): q (au), e, inclination, node, argument of perihelion (deg).
        references: shape (M, 5 or more), the same; bound (e < 1).
        reference_row: shape (N,), the row of `references` for each object.
        points: steps of a full walk round an ellipse.
        tolerance: of the certificate (au); 0 for none.
        out: shape (N, 6), filled with distance (au), true anomaly on the object's and on the reference's orbit
            (radians), error (au), 1.0 where the minimum was finished by Newton's method, else 0.0, and 1.0 where it
            is certified, else 0.0.
    """
    cdef Py_ssize_t n, m
    cdef bint swapped
    cdef Search search
    cdef double axes[6]
    cdef double reference_axes[6]
    cdef double nu_path, nu_base
    with nogil:
        for n in range(objects.shape[0]):
            m = reference_row[n]
            set_axes(objects[n, 2], objects[n, 3], objects[n, 4], axes)
            set_axes(references[m, 2], references[m, 3], references[m, 4], reference_axes)
            swapped = search_conics(
                &search, objects[n, 0], objects[n, 1], axes, references[m, 0], references[m, 1], reference_axes, points
            )
            nu_path = true_anomaly(&search.path, search.best_h)
            nu_base = true_anomaly(&search.base, search.best_k)
            out[n, 0] = sqrt(search.best2)
            out[n, 1] = nu_base if swapped else nu_path
            out[n, 2] = nu_path if swapped else nu_base
            out[n, 3] = search.error if search.rests else INFINITY
            out[n, 4] = 1.0 if search.rests else 0.0
            out[n, 5] = 1.0 if tolerance > 0.0 and certify(&search, tolerance) else 0.0


def distances(const double[:, :] objects, const double[::1] reference, int points, double[::1] out):
    """Minimum distances of N conics from one, and nothing else; releases the GIL.

    Args:
        objects: shape (N, 5 or more), as in `minimum_distances`.
        reference: shape (5 or more,), as in `minimum_distances`.
        points: as in `minimum_distances`.
        out: shape (N,), filled with the distances (au).
    """
    cdef Py_ssize_t n
    cdef Search search
    cdef double axes[6]
    cdef double reference_axes[6]
    with nogil:
        set_axes(reference[2], reference[3], reference[4], reference_axes)
        for n in range(objects.shape[0]):
            set_axes(objects[n, 2], objects[n, 3], objects[n, 4], axes)
            search_conics(
                &search, objects[n, 0], objects[n, 1], axes, reference[0], reference[1], reference_axes, points
            )
            out[n] = sqrt(search.best2)

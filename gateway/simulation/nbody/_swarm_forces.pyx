# SPDX-License-Identifier: GPL-3.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What pulls a swarm, for many massless particles at once: the compiled core of `gateway.simulation.nbody.Swarm`.

The Sun, the planets and the asteroids as points, the Sun's relativity (Damour & Deruelle 1985, Ann. Inst. H. Poincare
Phys. Theor. 43, 107) and its oblateness: the same terms as ASSIST's forces.c (Holman et al. 2023, PSJ 4, 69) in the same
order and with the same operations, so that the sums have the same bits; but a few dozen particles at a time lie in
arrays of one coordinate each, which a compiler makes vector instructions of. Everything else, and the places of the
bodies, come from ASSIST itself.
"""

from libc.stdint cimport uintptr_t

cdef extern from "pulls.h" nogil:
    enum:
        TOGETHER "ORRERY_TOGETHER"

    struct Few "orrery_few":
        double x[TOGETHER]
        double y[TOGETHER]
        double z[TOGETHER]
        double vx[TOGETHER]
        double vy[TOGETHER]
        double vz[TOGETHER]
        double ax[TOGETHER]
        double ay[TOGETHER]
        double az[TOGETHER]

    struct Point "orrery_point":
        double gm
        double x
        double y
        double z
        double vx
        double vy
        double vz

    void attract "orrery_attract"(Few* few, const Point* body)
    void bend "orrery_bend"(Few* few, const Point* sun, double c2)
    void flatten "orrery_flatten"(Few* few, const Point* sun, double j2, double radius)

cdef enum:
    MOST_BODIES = 64
    PLANETS = 11     # with Sun, Moon and Pluto, by ASSIST's numbers; asteroids follow

# Smallest pulls first, as ASSIST adds them: Pluto, Moon, Mars, Mercury, Neptune, Uranus, Earth, Venus, Saturn, Jupiter, Sun.
cdef int[PLANETS] ORDER = [10, 4, 5, 1, 9, 8, 3, 2, 7, 6, 0]

ctypedef int (*Ephemeris)(
    void* ephem, void* cache, int body, double time_d, double* gm, double* x, double* y, double* z,
    double* vx, double* vy, double* vz, double* ax, double* ay, double* az,
) noexcept nogil
ctypedef void (*Forces)(void* simulation) noexcept nogil

cdef struct Pulled:
    # One simulation. Pointers are into REBOUND's and ASSIST's own structures.
    double* time_d
    double* particles      # x, y, z, vx, vy, vz, ax, ay, az, ... of each
    Py_ssize_t stride      # doubles from one particle to the next
    Py_ssize_t count
    void* ephem
    void* cache
    int bodies
    int* flags             # the forces that ASSIST is to compute, its flags
    int all_flags
    bint relativity
    bint oblateness
    double sun_j2
    double sun_radius_au
    double c2
    Ephemeris find
    Forces others

# From the address of a simulation to its `extras`, and from there to what is pulled: see `attach`.
cdef Py_ssize_t extras_at = 0
cdef Py_ssize_t own_at = 0


cdef void pull(void* simulation) noexcept nogil:
    """REBOUND's `additional_forces`."""
    cdef char* extras = (<char**> (<char*> simulation + extras_at))[0]
    cdef Pulled* pulled = (<Pulled**> (extras + own_at))[0]
    cdef Point[MOST_BODIES] points
    cdef Point* sun
    cdef Few few
    cdef double ax, ay, az
    cdef Py_ssize_t first, many, j, k
    cdef double* particle
    cdef int body, flags
    pulled.others(simulation)
    for k in range(pulled.bodies):
        body = <int> (k + PLANETS) if k < pulled.bodies - PLANETS else ORDER[k - (pulled.bodies - PLANETS)]
        if pulled.find(
            pulled.ephem, pulled.cache, body, pulled.time_d[0], &points[k].gm, &points[k].x, &points[k].y, &points[k].z,
            &points[k].vx, &points[k].vy, &points[k].vz, &ax, &ay, &az,
        ):
            # ASSIST fails at the same body, and says why.
            flags = pulled.flags[0]
            pulled.flags[0] = pulled.all_flags
            pulled.others(simulation)
            pulled.flags[0] = flags
            return
    sun = &points[pulled.bodies - 1]
    first = 0
    while first < pulled.count:
        many = min(<Py_ssize_t> TOGETHER, pulled.count - first)
        for j in range(TOGETHER):
            # The last particle again where there are no more: no lane is left without a number.
            particle = pulled.particles + (first + min(j, many - 1)) * pulled.stride
            few.x[j], few.y[j], few.z[j] = particle[0], particle[1], particle[2]
            few.vx[j], few.vy[j], few.vz[j] = particle[3], particle[4], particle[5]
            few.ax[j], few.ay[j], few.az[j] = particle[6], particle[7], particle[8]
        if pulled.oblateness:
            flatten(&few, sun, pulled.sun_j2, pulled.sun_radius_au)
        if pulled.relativity:
            bend(&few, sun, pulled.c2)
        for k in range(pulled.bodies):
            attract(&few, &points[k])
        for j in range(many):
            particle = pulled.particles + (first + j) * pulled.stride
            particle[6], particle[7], particle[8] = few.ax[j], few.ay[j], few.az[j]
        first += TOGETHER


cdef class SwarmForces:
    """What pulls the particles of one simulation. It must outlive every step of it."""

    cdef Pulled pulled

    def __init__(
        self, *, time_at, particles_at, stride, count, ephem_at, cache_at, bodies, flags_at, all_flags, relativity,
        oblateness, sun_j2, sun_radius_au, c2, find_at, others_at,
    ):
        """Addresses are those of REBOUND's and ASSIST's structures and functions; they stay where they are.

        Args:
            time_at: of the simulation's time.
            particles_at: of the first particle.
            stride: doubles from one particle to the next.
            count: of particles.
            ephem_at: of ASSIST's ephemeris.
            cache_at: of its cache.
            bodies: how many, asteroids included.
            flags_at: of the flags of the forces that ASSIST computes itself.
            all_flags: of everything.
            relativity: whether the Sun's is wanted.
            oblateness: whether the Sun's is.
            sun_j2: of the Sun.
            sun_radius_au: equatorial.
            c2: the speed of light squared, au^2/d^2.
            find_at: of `assist_all_ephem`.
            others_at: of `assist_additional_forces`.

        Raises:
            ValueError: more bodies than there is room for.
        """
        if not PLANETS <= bodies <= MOST_BODIES:
            raise ValueError(f"{bodies} bodies: {PLANETS} to {MOST_BODIES} are provided for")
        self.pulled.time_d = <double*> <uintptr_t> time_at
        self.pulled.particles = <double*> <uintptr_t> particles_at
        self.pulled.stride, self.pulled.count = stride, count
        self.pulled.ephem, self.pulled.cache = <void*> <uintptr_t> ephem_at, <void*> <uintptr_t> cache_at
        self.pulled.bodies = bodies
        self.pulled.flags, self.pulled.all_flags = <int*> <uintptr_t> flags_at, all_flags
        self.pulled.relativity, self.pulled.oblateness = relativity, oblateness
        self.pulled.sun_j2, self.pulled.sun_radius_au, self.pulled.c2 = sun_j2, sun_radius_au, c2
        self.pulled.find = <Ephemeris> <uintptr_t> find_at
        self.pulled.others = <Forces> <uintptr_t> others_at

    @property
    def address(self):
        """Where `pull` looks for it."""
        return <uintptr_t> &self.pulled


def attach(extras_offset, own_offset):
    """The address of the force function for REBOUND.

    Args:
        extras_offset: bytes from a simulation's address to the pointer to its extras.
        own_offset: bytes from there to the pointer to a `SwarmForces`' address.
    """
    global extras_at, own_at
    extras_at, own_at = extras_offset, own_offset
    return <uintptr_t> &pull

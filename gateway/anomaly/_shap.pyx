# SPDX-License-Identifier: GPL-3.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Exact Shapley values of a forest's mean leaf value: the compiled core of `gateway.anomaly.explanation`.

The game is that of TreeSHAP with path-dependent expectations (Lundberg et al. 2020, Nature Machine Intelligence 2, 56):
at a split on a feature that is not known, both ways are taken, weighted by the training samples that went there. A leaf
is then worth its value times, over the distinct features j of its path, 1 or 0 where j is known (o_j: does the row pass
all splits on j?) and r_j where it is not (r_j: the product of the fractions of samples that passed them).

Shapley values are the integral of the gradient of the game's multilinear extension along its diagonal (Owen 1972,
Management Science 18, P-64): with f_j = t o_j + (1 - t) r_j,

    phi_j = integral over t from 0 to 1 of the sum over leaves of value * g_j * product of f_i,  g_j = (o_j - r_j) / f_j.

The integrand is a polynomial in t of degree features - 1, so that four Gauss-Legendre points are exact up to eight
features: nothing is sampled, only rounded. The product is carried down the tree, and each edge adds to its feature the
change of g_j times the worth of what lies below. As (1 - t) g_j = 1 / f_j - 1 while o_j is 1, and -1 where it is 0, a
split on j adds to (1 - t) times the integrand: near worth / f_j below - (near and far worth) / f_j above.

Where a row has left a path on feature j, o_j is 0 for good, and further splits on j only average; a subtree without any
other feature is worth its mean and is not entered.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef enum:
    POINTS = 4
    MOST_FEATURES = 8
    MOST_LEVELS = 64  # walks recurse: a deeper tree could take more stack than a thread has

# Gauss-Legendre on (0, 1): exact for polynomials of degree 7 (Abramowitz & Stegun 1964, table 25.4, n = 4).
cdef double[POINTS] T = [
    0.06943184420297371, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629,
]
cdef double[POINTS] WEIGHT = [
    0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693,
]

# 1 - t.
cdef double[POINTS] S = [1.0 - T[0], 1.0 - T[1], 1.0 - T[2], 1.0 - T[3]]

cdef struct Node:
    double threshold     # go left where float32(feature) <= threshold
    double value         # mean of the leaves below, weighted by samples
    double share_left    # of this node's samples, how many go left
    double unknown       # r_j of this node's feature on the way to this node
    int left
    int right
    int feature
    unsigned int below   # bits of the features split on here or below; 0 for a leaf

cdef struct Four:
    double at[POINTS]


cdef struct State:
    Four[MOST_FEATURES] inverse  # 1 / f_j on the way to the present node, while the row is on j's path
    Four[MOST_FEATURES] phi      # the integrand of each feature, times 1 - t


cdef inline void visit(
    const Node* nodes, int index, const Four* product, unsigned int gone, const float* row, State* state, Four* worth
) noexcept nogil:
    """The worth of a subtree, without a call where it is known beforehand."""
    cdef int q
    if nodes[index].below & ~gone:
        walk(nodes, index, product, gone, row, state, worth)
    else:
        for q in range(POINTS):
            worth.at[q] = product.at[q] * nodes[index].value


cdef void walk(
    const Node* nodes, int index, const Four* product, unsigned int gone, const float* row, State* state, Four* worth
) noexcept nogil:
    """The worth of a split's subtree at the four points, times the product so far; what its edges add goes to state.phi.

    gone: bits of the features on which the row has left the path to this node.
    """
    cdef const Node* node = &nodes[index]
    cdef Four near_product, far_product, near_worth, far_worth, inverse
    cdef Four* current
    cdef unsigned int bit = <unsigned int> 1 << node.feature
    cdef int near, far, q
    cdef double r_near, r_far, f_near
    if gone & bit:
        for q in range(POINTS):
            near_product.at[q] = product.at[q] * node.share_left
            far_product.at[q] = product.at[q] - near_product.at[q]
        visit(nodes, node.left, &near_product, gone, row, state, &near_worth)
        visit(nodes, node.right, &far_product, gone, row, state, &far_worth)
        for q in range(POINTS):
            worth.at[q] = near_worth.at[q] + far_worth.at[q]
        return
    if row[node.feature] <= node.threshold:
        near, far, r_near = node.left, node.right, node.unknown * node.share_left
    else:
        near, far, r_near = node.right, node.left, node.unknown - node.unknown * node.share_left
    r_far = node.unknown - r_near
    current = &state.inverse[node.feature]
    inverse = current[0]
    for q in range(POINTS):
        f_near = T[q] + S[q] * r_near
        near_product.at[q] = product.at[q] * inverse.at[q] * f_near
        far_product.at[q] = product.at[q] * inverse.at[q] * S[q] * r_far
        current.at[q] = 1.0 / f_near
    visit(nodes, near, &near_product, gone, row, state, &near_worth)
    for q in range(POINTS):
        worth.at[q] = near_worth.at[q]
        state.phi[node.feature].at[q] += near_worth.at[q] * current.at[q]
    current[0] = inverse
    visit(nodes, far, &far_product, gone | bit, row, state, &far_worth)
    for q in range(POINTS):
        worth.at[q] += far_worth.at[q]
        state.phi[node.feature].at[q] -= worth.at[q] * inverse.at[q]


cdef class Trees:
    """The trees of a forest, laid out for walking.

    Args (one value a node, all trees end to end, children after their parents):
        left, right: places of the children, -1 at leaves.
        feature: split on, ignored at leaves.
        threshold: go left where float32(feature) <= threshold.
        value: mean of the leaves below, weighted by samples; a leaf's own.
        samples: training samples that passed.
        roots: (T,) places of the roots.
        features: how many there are, 8 at most.

    Raises:
        ValueError: these are no trees.
    """

    cdef Node* nodes
    cdef int node_count
    cdef const int[::1] roots
    cdef readonly int features

    def __cinit__(
        self,
        const int[::1] left,
        const int[::1] right,
        const int[::1] feature,
        const double[::1] threshold,
        const double[::1] value,
        const int[::1] samples,
        const int[::1] roots,
        int features,
    ):
        cdef int index, child
        cdef int count = left.shape[0]
        cdef unsigned char[::1] level = bytearray(max(count, 1))
        if not (right.shape[0] == feature.shape[0] == threshold.shape[0] == value.shape[0] == samples.shape[0] == count):
            raise ValueError("the columns of nodes differ in length")
        if not 1 <= features <= MOST_FEATURES:
            raise ValueError(f"{features} features: between 1 and {MOST_FEATURES} can be explained")
        for index in range(roots.shape[0]):
            if not 0 <= roots[index] < count:
                raise ValueError("a root is no node")
            level[roots[index]] = 1
        self.roots = roots
        self.features = features
        self.node_count = count
        self.nodes = <Node*> malloc(max(count, 1) * sizeof(Node))
        if self.nodes == NULL:
            raise MemoryError
        for index in range(count):
            self.nodes[index] = Node(threshold[index], value[index], 1.0, 1.0, left[index], right[index], -1, 0)
            if left[index] < 0:
                continue
            if not (index < left[index] < count and index < right[index] < count):
                raise ValueError("children must follow their parents")
            for child in (left[index], right[index]):
                if level[child]:
                    raise ValueError("a node has two parents, or is a root with one")
                level[child] = level[index] + 1
            if level[index] > MOST_LEVELS:
                raise ValueError(f"a tree has more than {MOST_LEVELS} levels")
            if not 0 <= feature[index] < features or samples[index] <= 0:
                raise ValueError("a split lacks a feature or samples")
            self.nodes[index].feature = feature[index]
            self.nodes[index].share_left = <double> samples[left[index]] / samples[index]
        self._gather_features()
        self._fill_unknown()

    def __dealloc__(self):
        free(self.nodes)

    cdef void _gather_features(self):
        cdef int index
        cdef Node* node
        for index in range(self.node_count - 1, -1, -1):
            node = &self.nodes[index]
            if node.feature >= 0:
                node.below = (<unsigned int> 1) << node.feature | self.nodes[node.left].below | self.nodes[node.right].below

    cdef void _fill_unknown(self):
        cdef int index
        cdef double[MOST_FEATURES] shares
        for index in range(MOST_FEATURES):
            shares[index] = 1.0
        for index in range(self.roots.shape[0]):
            descend(self.nodes, self.roots[index], shares)

    def shapley(self, const float[:, ::1] rows, double[:, ::1] out):
        """Fill `out` (N, F) with each row's Shapley values, summed over the trees; `rows` is (N, F).

        The interpreter's lock is released meanwhile.
        """
        if rows.shape[1] != self.features or out.shape[1] != self.features or out.shape[0] != rows.shape[0]:
            raise ValueError("rows and out must be of shape (N, features)")
        with nogil:
            self._shapley(rows, out)

    cdef void _shapley(self, const float[:, ::1] rows, double[:, ::1] out) noexcept nogil:
        cdef Py_ssize_t row
        cdef int tree, j, q
        cdef State state
        cdef Four one, worth
        for q in range(POINTS):
            one.at[q] = 1.0
        for j in range(MOST_FEATURES):
            state.inverse[j] = one
        for row in range(rows.shape[0]):
            for j in range(self.features):
                out[row, j] = 0.0
        # Trees without, rows within: a tree stays in the processor's cache while all rows walk it.
        for tree in range(self.roots.shape[0]):
            for row in range(rows.shape[0]):
                memset(state.phi, 0, sizeof(state.phi))
                visit(self.nodes, self.roots[tree], &one, 0, &rows[row, 0], &state, &worth)
                for j in range(self.features):
                    for q in range(POINTS):
                        out[row, j] += WEIGHT[q] / S[q] * state.phi[j].at[q]


cdef void descend(Node* nodes, int index, double* shares) noexcept:
    """Note at each split the share of samples that its feature's earlier splits let through to it."""
    cdef Node* node = &nodes[index]
    if node.feature < 0:
        return
    cdef double before = shares[node.feature]
    node.unknown = before
    shares[node.feature] = before * node.share_left
    descend(nodes, node.left, shares)
    shares[node.feature] = before * (1.0 - node.share_left)
    descend(nodes, node.right, shares)
    shares[node.feature] = before

# cython: language_level=3, boundscheck=False, wraparound=False
# SPDX-License-Identifier: GPL-3.0-or-later
"""One side of an HTTP/2 connection (RFC 9113), by nghttp2: bytes in, bytes out, events in between."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

cdef extern from "nghttp2/nghttp2.h":
    ctypedef struct nghttp2_session:
        pass
    ctypedef struct nghttp2_stream:
        pass
    ctypedef struct nghttp2_session_callbacks:
        pass
    ctypedef struct nghttp2_option:
        pass
    ctypedef struct nghttp2_frame_hd:
        size_t length
        int32_t stream_id
        uint8_t type
        uint8_t flags
    ctypedef union nghttp2_frame:
        nghttp2_frame_hd hd
    ctypedef struct nghttp2_nv:
        uint8_t *name
        uint8_t *value
        size_t namelen
        size_t valuelen
        uint8_t flags
    ctypedef union nghttp2_data_source:
        void *ptr
    ctypedef struct nghttp2_settings_entry:
        int32_t settings_id
        uint32_t value
    enum:
        NGHTTP2_DATA
        NGHTTP2_HEADERS
        NGHTTP2_SETTINGS
        NGHTTP2_PING
        NGHTTP2_GOAWAY
        NGHTTP2_FLAG_NONE
        NGHTTP2_FLAG_END_STREAM
        NGHTTP2_FLAG_ACK
        NGHTTP2_DATA_FLAG_EOF
        NGHTTP2_DATA_FLAG_NO_END_STREAM
        NGHTTP2_ERR_DEFERRED
        NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        NGHTTP2_ERR_CALLBACK_FAILURE
        NGHTTP2_ERR_START_STREAM_NOT_ALLOWED
        NGHTTP2_ERR_SESSION_CLOSING
        NGHTTP2_ERR_STREAM_CLOSING
        NGHTTP2_NO_ERROR
        NGHTTP2_INTERNAL_ERROR
        NGHTTP2_REFUSED_STREAM
        NGHTTP2_CANCEL
        NGHTTP2_SETTINGS_ENABLE_PUSH
        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        NGHTTP2_SETTINGS_MAX_FRAME_SIZE
        NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
    ctypedef ssize_t (*nghttp2_data_source_read_callback)(
        nghttp2_session *, int32_t, uint8_t *, size_t, uint32_t *, nghttp2_data_source *, void *) noexcept
    ctypedef struct nghttp2_data_provider:
        nghttp2_data_source source
        nghttp2_data_source_read_callback read_callback
    ctypedef int (*on_frame)(nghttp2_session *, const nghttp2_frame *, void *) noexcept
    ctypedef int (*on_header)(
        nghttp2_session *, const nghttp2_frame *, const uint8_t *, size_t, const uint8_t *, size_t, uint8_t, void *
    ) noexcept
    ctypedef int (*on_chunk)(nghttp2_session *, uint8_t, int32_t, const uint8_t *, size_t, void *) noexcept
    ctypedef ssize_t (*on_read_length)(
        nghttp2_session *, uint8_t, int32_t, int32_t, int32_t, uint32_t, void *) noexcept
    ctypedef int (*on_frame_error)(nghttp2_session *, const nghttp2_frame *, int, void *) noexcept
    ctypedef int (*on_close)(nghttp2_session *, int32_t, uint32_t, void *) noexcept
    int nghttp2_session_callbacks_new(nghttp2_session_callbacks **)
    void nghttp2_session_callbacks_set_on_begin_headers_callback(nghttp2_session_callbacks *, on_frame)
    void nghttp2_session_callbacks_set_on_header_callback(nghttp2_session_callbacks *, on_header)
    void nghttp2_session_callbacks_set_on_data_chunk_recv_callback(nghttp2_session_callbacks *, on_chunk)
    void nghttp2_session_callbacks_set_on_frame_recv_callback(nghttp2_session_callbacks *, on_frame)
    void nghttp2_session_callbacks_set_on_frame_send_callback(nghttp2_session_callbacks *, on_frame)
    void nghttp2_session_callbacks_set_on_frame_not_send_callback(nghttp2_session_callbacks *, on_frame_error)
    void nghttp2_session_callbacks_set_on_stream_close_callback(nghttp2_session_callbacks *, on_close)
    void nghttp2_session_callbacks_set_data_source_read_length_callback(nghttp2_session_callbacks *, on_read_length)
    int nghttp2_option_new(nghttp2_option **)
    void nghttp2_option_del(nghttp2_option *)
    void nghttp2_option_set_no_auto_window_update(nghttp2_option *, int)
    void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *, uint64_t, uint64_t)
    int nghttp2_session_server_new2(
        nghttp2_session **, const nghttp2_session_callbacks *, void *, const nghttp2_option *)
    int nghttp2_session_client_new2(
        nghttp2_session **, const nghttp2_session_callbacks *, void *, const nghttp2_option *)
    void nghttp2_session_del(nghttp2_session *)
    int nghttp2_session_want_read(nghttp2_session *)
    int nghttp2_session_want_write(nghttp2_session *)
    int nghttp2_session_set_local_window_size(nghttp2_session *, uint8_t, int32_t, int32_t)
    int nghttp2_session_consume(nghttp2_session *, int32_t, size_t)
    int nghttp2_session_consume_connection(nghttp2_session *, size_t)
    int nghttp2_session_consume_stream(nghttp2_session *, int32_t, size_t)
    nghttp2_stream *nghttp2_session_find_stream(nghttp2_session *, int32_t)
    int nghttp2_session_resume_data(nghttp2_session *, int32_t)
    int nghttp2_session_terminate_session(nghttp2_session *, uint32_t)
    int32_t nghttp2_session_get_last_proc_stream_id(nghttp2_session *)
    int nghttp2_submit_settings(nghttp2_session *, uint8_t, const nghttp2_settings_entry *, size_t)
    int nghttp2_submit_response(
        nghttp2_session *, int32_t, const nghttp2_nv *, size_t, const nghttp2_data_provider *)
    int32_t nghttp2_submit_request(
        nghttp2_session *, const void *, const nghttp2_nv *, size_t, const nghttp2_data_provider *, void *)
    int nghttp2_submit_trailer(nghttp2_session *, int32_t, const nghttp2_nv *, size_t)
    int nghttp2_submit_rst_stream(nghttp2_session *, uint8_t, int32_t, uint32_t)
    int nghttp2_submit_ping(nghttp2_session *, uint8_t, const uint8_t *)
    int nghttp2_submit_shutdown_notice(nghttp2_session *)
    int nghttp2_submit_goaway(nghttp2_session *, uint8_t, int32_t, uint32_t, const uint8_t *, size_t)
    const char *nghttp2_strerror(int)
    ssize_t nghttp2_session_mem_recv(nghttp2_session *, const uint8_t *, size_t)
    ssize_t nghttp2_session_mem_send(nghttp2_session *, const uint8_t **)

cdef enum:
    MOST_PAIRS = 128

# Of what is to be sent, so much at a time.
cdef Py_ssize_t _AT_ONCE = 256 * 1024


class ProtocolError(Exception):
    """The peer does not speak HTTP/2, or breaks its rules beyond repair."""


cdef class _Stream:
    """What comes being read, what goes being sent."""

    cdef list headers
    cdef Py_ssize_t header_bytes
    cdef bint peer_ended
    cdef bint we_ended
    cdef list chunks
    cdef Py_ssize_t offset
    cdef Py_ssize_t queued
    cdef list trailers
    cdef bint deferred


cdef class Session:
    """What happens is told by calling methods that a subclass overrides; what is to be sent waits until it is taken."""

    cdef nghttp2_session *_session
    cdef dict _streams
    cdef object _failure
    cdef Py_ssize_t _max_header_bytes
    cdef bint _noticing
    cdef bint _is_client

    def __cinit__(self):
        self._session = NULL

    def __init__(
        self, *, bint is_client, max_streams, stream_window, connection_window, max_frame_bytes, max_header_bytes
    ):
        cdef nghttp2_option *option
        cdef nghttp2_settings_entry settings[4]
        self._streams = {}
        self._failure = None
        self._max_header_bytes = max_header_bytes
        self._is_client = is_client
        if nghttp2_option_new(&option):
            raise MemoryError
        nghttp2_option_set_no_auto_window_update(option, 1)
        # Callers who leave, and refusals of what they still write, reset streams too: gRPC's clients under load need
        # more than nghttp2's own 1,000 and 33 a second (CVE-2023-44487).
        nghttp2_option_set_stream_reset_rate_limit(option, 5000, 500)
        if is_client:
            failed = nghttp2_session_client_new2(&self._session, _callbacks, <void *>self, option)
            settings[0].settings_id, settings[0].value = NGHTTP2_SETTINGS_ENABLE_PUSH, 0
        else:
            failed = nghttp2_session_server_new2(&self._session, _callbacks, <void *>self, option)
            settings[0].settings_id, settings[0].value = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams
        nghttp2_option_del(option)
        if failed:
            raise MemoryError
        settings[1].settings_id, settings[1].value = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, stream_window
        settings[2].settings_id, settings[2].value = NGHTTP2_SETTINGS_MAX_FRAME_SIZE, max_frame_bytes
        settings[3].settings_id, settings[3].value = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, max_header_bytes
        nghttp2_submit_settings(self._session, NGHTTP2_FLAG_NONE, settings, 4)
        nghttp2_session_set_local_window_size(self._session, NGHTTP2_FLAG_NONE, 0, connection_window)

    def __dealloc__(self):
        if self._session is not NULL:
            nghttp2_session_del(self._session)

    # What a subclass hears.

    def headers_came(self, int stream_id, list headers):
        """[(name, value)]: what a request begins with; what a response begins with, and what it ends with."""

    def data_came(self, int stream_id, bytes data):
        """A part of a body; to be given back with `consumed`."""

    def peer_ended(self, int stream_id):
        """Nothing more comes."""

    def data_left(self, int stream_id, Py_ssize_t queued):
        """A part of a body is on its way; so much is not."""

    def stream_closed(self, int stream_id, uint32_t code):
        """Both sides are done with it, or one has reset it."""

    def ping_came(self):
        """It is answered already."""

    def pong_came(self):
        """The answer to our ping."""

    def settings_came(self):
        """The peer speaks HTTP/2."""

    def notice_came(self):
        """The peer takes no more streams."""

    # What it is told.

    def receive(self, bytes data):
        """Bytes from the peer.

        Raises:
            ProtocolError: the connection is of no more use.
        """
        cdef ssize_t done = nghttp2_session_mem_recv(
            self._session, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        self._raise_failure()
        if done < 0:
            raise ProtocolError(nghttp2_strerror(<int>done).decode())

    def take(self):
        """Bytes for the peer; empty where there are none."""
        cdef const uint8_t *part
        cdef ssize_t size
        cdef Py_ssize_t total = 0
        cdef list parts = []
        while total < _AT_ONCE:
            size = nghttp2_session_mem_send(self._session, &part)
            if size <= 0:
                break
            parts.append(PyBytes_FromStringAndSize(<const char *>part, size))
            total += size
        self._raise_failure()
        if size < 0:
            raise ProtocolError(nghttp2_strerror(<int>size).decode())
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def is_over(self):
        """Whether nothing can come or go any more."""
        return not (nghttp2_session_want_read(self._session) or nghttp2_session_want_write(self._session))

    def request(self, list headers):
        """Begin a stream: what it is called; 0 where this connection has no names left."""
        cdef nghttp2_nv pairs[MOST_PAIRS]
        cdef nghttp2_data_provider provider
        cdef _Stream stream = _Stream.__new__(_Stream)
        stream.chunks = []
        provider.source.ptr = NULL
        provider.read_callback = _read
        count = _fill(pairs, headers)
        stream_id = nghttp2_submit_request(self._session, NULL, pairs, count, &provider, NULL)
        if stream_id <= 0:
            return 0
        self._streams[stream_id] = stream
        return stream_id

    def respond(self, int stream_id, list headers, bint only=False):
        """Begin a response; `only` its headers are all of it."""
        cdef nghttp2_nv pairs[MOST_PAIRS]
        cdef nghttp2_data_provider provider
        cdef _Stream stream = self._streams.get(stream_id)
        if stream is None:
            return
        count = _fill(pairs, headers)
        if only:
            nghttp2_submit_response(self._session, stream_id, pairs, count, NULL)
            return
        stream.chunks = []
        provider.source.ptr = NULL
        provider.read_callback = _read
        nghttp2_submit_response(self._session, stream_id, pairs, count, &provider)

    def send(self, int stream_id, bytes head, bytes data):
        """A part of a body, in two pieces; returns how much waits to be sent."""
        cdef _Stream stream = self._streams.get(stream_id)
        if stream is None or stream.chunks is None:
            return 0
        stream.chunks.append(head)
        if data:
            stream.chunks.append(data)
        stream.queued += PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(data)
        self._resume(stream_id, stream)
        return stream.queued

    def finish(self, int stream_id, list trailers):
        """The end of a response, or of a request, which has no trailers."""
        cdef _Stream stream = self._streams.get(stream_id)
        if stream is None or stream.chunks is None or stream.trailers is not None:
            return
        stream.trailers = trailers
        self._resume(stream_id, stream)

    def reset(self, int stream_id, uint32_t code):
        """Break a stream off."""
        nghttp2_submit_rst_stream(self._session, NGHTTP2_FLAG_NONE, stream_id, code)
        if self._is_client and nghttp2_session_find_stream(self._session, stream_id) is NULL:
            # It was still waiting for its turn, and would go on to.
            self._close_stream(stream_id, code)

    def consumed(self, int stream_id, size_t size):
        """Let the peer send so many bytes more."""
        if self._is_client:
            # The connection's share is given back as it comes: an answer that is not read holds up no other.
            nghttp2_session_consume_stream(self._session, stream_id, size)
        elif stream_id in self._streams:
            nghttp2_session_consume(self._session, stream_id, size)
        else:
            nghttp2_session_consume_connection(self._session, size)

    def ping(self):
        """Ask the peer for a sign of life: `pong_came`."""
        nghttp2_submit_ping(self._session, NGHTTP2_FLAG_NONE, NULL)

    def give_notice(self):
        """Tell the peer to begin nothing more here; what it has begun is still taken. `pong_came` when it has read it."""
        self._noticing = True
        nghttp2_submit_shutdown_notice(self._session)

    def take_no_more(self):
        """Whatever the peer begins from here on is not taken: it may be asked of another server."""
        nghttp2_submit_goaway(
            self._session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(self._session), NGHTTP2_NO_ERROR,
            NULL, 0)

    def give_up(self, uint32_t code, bytes why):
        """Tell the peer why it is left; everything that it has begun here is over."""
        nghttp2_submit_goaway(
            self._session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(self._session), code,
            <const uint8_t *>PyBytes_AS_STRING(why), PyBytes_GET_SIZE(why))
        nghttp2_session_terminate_session(self._session, code)

    cdef _resume(self, int stream_id, _Stream stream):
        if stream.deferred:
            stream.deferred = False
            nghttp2_session_resume_data(self._session, stream_id)

    cdef _close_stream(self, int stream_id, uint32_t code):
        if self._streams.pop(stream_id, None) is not None:
            self.stream_closed(stream_id, code)

    cdef _close_unsent(self):
        """Requests that wait for their turn would wait for those under way, and then not go after all."""
        for stream_id in list(self._streams):
            if nghttp2_session_find_stream(self._session, stream_id) is NULL:
                self._close_stream(stream_id, NGHTTP2_REFUSED_STREAM)

    cdef _raise_failure(self):
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


cdef size_t _fill(nghttp2_nv *pairs, list headers) except? 0:
    """nghttp2 copies them."""
    cdef bytes name, value
    cdef size_t count = 0
    if len(headers) > MOST_PAIRS:
        raise ValueError("too much metadata")
    for name, value in headers:
        pairs[count].name, pairs[count].namelen = <uint8_t *>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
        pairs[count].value, pairs[count].valuelen = <uint8_t *>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        pairs[count].flags = 0
        count += 1
    return count


cdef ssize_t _read(
    nghttp2_session *session, int32_t stream_id, uint8_t *room, size_t size, uint32_t *flags,
    nghttp2_data_source *source, void *user,
) noexcept:
    cdef Session me = <Session>user
    cdef _Stream stream = me._streams.get(stream_id)
    cdef nghttp2_nv pairs[MOST_PAIRS]
    cdef bytes chunk
    cdef Py_ssize_t part, done = 0, gone = 0
    if stream is None:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
    try:
        while gone < len(stream.chunks) and done < <Py_ssize_t>size:
            chunk = stream.chunks[gone]
            part = min(PyBytes_GET_SIZE(chunk) - stream.offset, <Py_ssize_t>size - done)
            memcpy(room + done, PyBytes_AS_STRING(chunk) + stream.offset, part)
            done += part
            stream.offset += part
            if stream.offset == PyBytes_GET_SIZE(chunk):
                gone += 1
                stream.offset = 0
        # All at once: there may be thousands, and more behind them.
        del stream.chunks[:gone]
        if done:
            stream.queued -= done
            me.data_left(stream_id, stream.queued)
        if not stream.chunks and stream.trailers is not None:
            flags[0] |= NGHTTP2_DATA_FLAG_EOF
            stream.we_ended = True
            if not me._is_client:
                flags[0] |= NGHTTP2_DATA_FLAG_NO_END_STREAM
                nghttp2_submit_trailer(session, stream_id, pairs, _fill(pairs, stream.trailers))
        elif not done:
            stream.deferred = True
            return NGHTTP2_ERR_DEFERRED
    except BaseException as failure:
        me._failure = failure
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return done


cdef ssize_t _read_length(
    nghttp2_session *session, uint8_t kind, int32_t stream_id, int32_t connection_window, int32_t stream_window,
    uint32_t max_frame_bytes, void *user,
) noexcept:
    """Frames as large as the peer takes them, within reason; nghttp2's own are of 16 KB."""
    return max(1, min(connection_window, stream_window, <int32_t>min(max_frame_bytes, 128 * 1024)))


cdef int _headers_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user) noexcept:
    cdef Session me = <Session>user
    cdef _Stream stream
    if me._is_client:
        stream = me._streams.get(frame.hd.stream_id)
        if stream is not None:
            stream.headers, stream.header_bytes = [], 0
    elif frame.hd.stream_id not in me._streams:
        stream = _Stream.__new__(_Stream)
        stream.headers = []
        me._streams[frame.hd.stream_id] = stream
    return 0


cdef int _header(
    nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size, const uint8_t *value,
    size_t value_size, uint8_t flags, void *user,
) noexcept:
    cdef Session me = <Session>user
    cdef _Stream stream = me._streams.get(frame.hd.stream_id)
    if stream is None or stream.headers is None:
        # Trailers of a request, which gRPC does not have.
        return 0
    # RFC 9113, 6.5.2: 32 bytes of overhead for each.
    stream.header_bytes += name_size + value_size + 32
    if stream.header_bytes > me._max_header_bytes:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
    stream.headers.append((
        PyBytes_FromStringAndSize(<const char *>name, name_size),
        PyBytes_FromStringAndSize(<const char *>value, value_size),
    ))
    return 0


cdef int _chunk(
    nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t size, void *user
) noexcept:
    cdef Session me = <Session>user
    try:
        if me._is_client:
            nghttp2_session_consume_connection(session, size)
        me.data_came(stream_id, PyBytes_FromStringAndSize(<const char *>data, size))
    except BaseException as failure:
        me._failure = failure
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return 0


cdef int _frame_came(nghttp2_session *session, const nghttp2_frame *frame, void *user) noexcept:
    cdef Session me = <Session>user
    cdef _Stream stream
    cdef int32_t stream_id = frame.hd.stream_id
    try:
        if frame.hd.type == NGHTTP2_HEADERS or frame.hd.type == NGHTTP2_DATA:
            stream = me._streams.get(stream_id)
            if stream is None:
                return 0
            if stream.headers is not None and frame.hd.type == NGHTTP2_HEADERS:
                headers, stream.headers = stream.headers, None
                me.headers_came(stream_id, headers)
            if frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
                stream.peer_ended = True
                me.peer_ended(stream_id)
                if me._is_client and not stream.we_ended:
                    # The answer is complete; nobody will read the rest of the question.
                    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL)
        elif frame.hd.type == NGHTTP2_PING:
            if frame.hd.flags & NGHTTP2_FLAG_ACK:
                me.pong_came()
            else:
                me.ping_came()
        elif frame.hd.type == NGHTTP2_SETTINGS and not frame.hd.flags & NGHTTP2_FLAG_ACK:
            me.settings_came()
        elif frame.hd.type == NGHTTP2_GOAWAY:
            me.notice_came()
            if me._is_client:
                me._close_unsent()
    except BaseException as failure:
        me._failure = failure
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return 0


cdef int _frame_left(nghttp2_session *session, const nghttp2_frame *frame, void *user) noexcept:
    cdef Session me = <Session>user
    cdef _Stream stream
    if frame.hd.type == NGHTTP2_GOAWAY and me._noticing:
        # Not before: a ping overtakes, and its answer would say nothing.
        me._noticing = False
        nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, NULL)
    elif frame.hd.type == NGHTTP2_HEADERS and frame.hd.flags & NGHTTP2_FLAG_END_STREAM and not me._is_client:
        stream = me._streams.get(frame.hd.stream_id)
        if stream is not None and not stream.peer_ended:
            # The answer is complete; the rest of the question need not be sent (RFC 9113, 8.1).
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR)
    return 0


cdef int _frame_lost(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user) noexcept:
    if frame.hd.type != NGHTTP2_HEADERS:
        return 0
    # Else somebody would wait for ever.
    if not (<Session>user)._is_client:
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_INTERNAL_ERROR)
        return 0
    # A request that the peer never sees: it takes no more, or the request was withdrawn before it went.
    never = (NGHTTP2_ERR_START_STREAM_NOT_ALLOWED, NGHTTP2_ERR_SESSION_CLOSING, NGHTTP2_ERR_STREAM_CLOSING)
    return _stream_closed(
        session, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM if error in never else NGHTTP2_INTERNAL_ERROR, user)


cdef int _stream_closed(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user) noexcept:
    cdef Session me = <Session>user
    try:
        me._close_stream(stream_id, code)
    except BaseException as failure:
        me._failure = failure
        return NGHTTP2_ERR_CALLBACK_FAILURE
    return 0


cdef nghttp2_session_callbacks *_callbacks
nghttp2_session_callbacks_new(&_callbacks)
nghttp2_session_callbacks_set_on_begin_headers_callback(_callbacks, _headers_begin)
nghttp2_session_callbacks_set_on_header_callback(_callbacks, _header)
nghttp2_session_callbacks_set_on_data_chunk_recv_callback(_callbacks, _chunk)
nghttp2_session_callbacks_set_on_frame_recv_callback(_callbacks, _frame_came)
nghttp2_session_callbacks_set_on_frame_send_callback(_callbacks, _frame_left)
nghttp2_session_callbacks_set_on_frame_not_send_callback(_callbacks, _frame_lost)
nghttp2_session_callbacks_set_on_stream_close_callback(_callbacks, _stream_closed)
nghttp2_session_callbacks_set_data_source_read_length_callback(_callbacks, _read_length)

"""The life of one recorded call: the call starts, may be answered, and ends once.

A call can end in several ways one after the other (a stream is read to its end, closed, then collected). ``_open`` has
the calls that have not ended. Only the code that takes a call out of ``_open`` ends the call.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial

import anyio.to_thread
import httpx

from groq_client import errors, recorder, tokens
from groq_client.answer import Answer
from groq_client.asked import Asked
from groq_client.audio import Length, length_of
from groq_client.call import Call, CallRefused, Recorder, Usage
from groq_client.cycles import loosen
from groq_client.dispatch import dispatcher, finish_at_exit
from groq_client.names import identity
from groq_client.recorder import note_failure
from groq_client.usage import consistent, read_rate_limit

NANOSECONDS = 1_000_000
AUDIO = ("transcription", "translation")

RawHeaders = Iterable[tuple[bytes, bytes]]

_open: dict["Recording", None] = {}


class Lease:
    """An object held by the code that can still end a call: the running request, then the caller's stream.

    When the last holder drops the lease without having ended the call, the call is recorded as abandoned.
    """

    __slots__ = ("__weakref__", "is_handed_on", "recording")

    def __init__(self, recording: "Recording") -> None:
        self.recording = recording
        self.is_handed_on = False
        """A stream holds the lease now and has to end the call."""

    def __del__(self) -> None:
        try:
            self.recording.abandon()
        except Exception:
            note_failure("recording an abandoned call")


class Recording:
    """The recording of one call. ``api_key`` is used only to remove the key from error messages."""

    def __init__(self, call: Call, asked: Asked, told: Recorder, api_key: str = "") -> None:
        self.call = call
        self.answer: Answer | None = None
        self._asked = asked
        self._recorder = told
        self._api_key = api_key
        self._starting: Future[None] | None = None
        self._error: BaseException | None = None
        self._is_abandoned = False
        self._ended_ns = 0
        self._audio_length: Length | None = None

    # How it starts

    def start(self) -> None:
        """Tells the recorder that the call starts. Raises :class:`CallRefused` if the call must not be sent."""
        self._register()
        try:
            if recorder.is_blocking(self._recorder, "start") and _on_event_loop():
                # A synchronous call blocks the event loop anyway. The recorder may refuse to run in a loop's thread.
                self._start_elsewhere().result()
            else:
                self._start()
        except CallRefused as refusal:
            self.end(refusal)
            raise

    async def start_async(self) -> None:
        self._register()
        try:
            if recorder.is_blocking(self._recorder, "start") or self._must_measure_first():
                starting = self._start_elsewhere()
                await _until(starting)
                starting.result()
            else:
                self._start()
        except CallRefused as refusal:
            await self.end_async(refusal)
            raise
        except BaseException as error:  # The task was cancelled while the recorder ran.
            await self.end_async(error)
            raise

    def _register(self) -> None:
        _open[self] = None
        finish_at_exit(_end_all)

    def _start_elsewhere(self) -> Future[None]:
        self._starting = dispatcher.submit(self._start)
        return self._starting

    def _start(self) -> None:
        try:
            if self._must_measure_first():
                self._measure_audio()
        except Exception:
            note_failure("measuring an audio file")
        recorder.start(self._recorder, self.call)

    def _must_measure_first(self) -> bool:
        """Whether the audio is a file object, which may be closed by the end of the call and must be measured now."""
        try:
            return self._asked.audio is not None and not isinstance(self._asked.audio, bytes)
        except Exception:
            note_failure("looking at an audio file")
            return False

    def _measure_audio(self) -> None:
        if self._asked.audio is not None:
            self._audio_length = length_of(self._asked.audio)
            self._asked.audio = None

    # What comes back

    def answered(self, status: int, raw_headers: RawHeaders) -> Answer:
        """Notes that a response has begun, and returns the answer that its body has to be fed to."""
        headers = self.take_head(status, raw_headers)
        encoding = headers.get("content-encoding", "").strip().lower()
        self.answer = Answer(self.call.operation, headers.get("content-type", ""), encoding)
        return self.answer

    def take_head(self, status: int, raw_headers: RawHeaders) -> dict[str, str]:
        """Notes the status and the headers of a response, and returns the headers by their names in lower case."""
        # A plain dictionary is faster: httpx's headers compare every name at each look-up.
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw_headers}
        self.call.http_status = status
        self.call.rate_limit = read_rate_limit(headers)
        self.call.provider_request_id = identity(headers.get("x-request-id", ""))
        return headers

    def see(self, chunk: bytes) -> bool:
        """Takes in the next bytes of the body. True if these bytes show that the call has failed."""
        try:
            return self.answer is not None and self.answer.feed(chunk)
        except Exception:
            note_failure("reading a stream")
            return False

    def see_end(self) -> None:
        """Notes that the body has been read to its last byte."""
        try:
            if self.answer is not None:
                self.answer.end()
        except Exception:
            note_failure("reading an answer")

    # How it ends

    def end(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """Ends the call unless it has ended. Does not wait for the recorder if this thread runs an event loop."""
        if not self._take(error, is_abandoned=is_abandoned):
            return
        if self._is_to_be_estimated():
            self._tell_when_estimated()
        elif recorder.is_blocking(self._recorder, "finish") and _on_event_loop():
            dispatcher.submit(self._tell)
        else:
            self._tell()

    async def end_async(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """Ends the call unless it has ended, and waits for the recorder without blocking the event loop.

        The recorder gets the call even if the waiting is cancelled.
        """
        if not self._take(error, is_abandoned=is_abandoned):
            return
        if self._is_to_be_estimated():
            self._tell_when_estimated()
        elif isinstance(error, GeneratorExit):  # The coroutine is being closed and must not await.
            dispatcher.submit(self._tell)
        elif recorder.is_blocking(self._recorder, "finish"):
            await _until(dispatcher.submit(self._tell))
        else:
            self._tell()

    def abandon(self) -> None:
        """Ends a call whose lease nobody holds. Finalizers call this, so it neither waits nor takes a lock."""
        if self._take(None, is_abandoned=True):
            dispatcher.put(self._tell)

    def _take(self, error: BaseException | None, *, is_abandoned: bool) -> bool:
        try:
            del _open[self]
        except KeyError:
            return False
        self._error = error
        self._is_abandoned = is_abandoned
        self._ended_ns = time.monotonic_ns()
        if is_abandoned and self.answer is not None:
            self._ended_ns = self.answer.last_ns  # The stream may have been closed or collected much later.
        return True

    def _is_to_be_estimated(self) -> bool:
        """Whether tokens or the length of an audio file have to be counted here because Groq did not report them."""
        try:
            return self.answer is not None and self._lacks_a_count(self.answer)
        except Exception:
            note_failure("reading an answer")
            return True

    def _lacks_a_count(self, answer: Answer) -> bool:
        if answer.is_foreign or self.call.operation == "speech":
            return False
        if self.call.operation in AUDIO:
            return answer.audio_seconds is None and self._asked.audio is not None
        return not answer.is_counted

    def _tell_when_estimated(self) -> None:
        """Has a thread estimate the usage and then tell the recorder, because loading the vocabularies takes up to a
        second and the caller must not wait. A recorder with a journal is told of the end at once, so that the journal
        knows that the call has ended even if the process dies meanwhile."""
        try:
            self._complete_safely(estimates=False)
            recorder.ended(self._recorder, self.call)
        finally:
            dispatcher.submit(self._tell)

    def _tell(self) -> None:
        """Completes the call and hands it to the recorder.

        Ctrl-C, or ``sys.exit`` in a signal handler, may interrupt this. The exception goes on after the call was queued
        to be told once more; the ledger knows the call by its request id and records it once.
        """
        try:
            self._complete_safely(estimates=True)
            self._forget_content()
            recorder.finish(self._recorder, self.call)
        except BaseException as error:
            dispatcher.put(partial(recorder.finish, self._recorder, self.call))
            if not isinstance(error, Exception):
                raise
            note_failure("telling the recorder of an ended call")

    def _complete_safely(self, *, estimates: bool) -> None:
        if self._starting is not None and not self._starting.done():
            # The caller was cancelled while the recorder's ``start`` was running in a thread, so wait for its end.
            self._starting.exception()
        try:
            self._complete(estimates=estimates)
        except Exception:
            note_failure("reading an answer")

    def _forget_content(self) -> None:
        try:
            self._error = None
            self._asked = Asked(self.call.operation)
            if self.answer is not None:
                self.answer.forget()
        except Exception:
            note_failure("forgetting an answer")

    # What is recorded of it

    def _complete(self, *, estimates: bool) -> None:
        call, answer = self.call, self.answer
        call.latency_ms = max(0, round((self._ended_ns - call.started_ns) / NANOSECONDS))
        if answer is not None:
            self._complete_answer(answer, estimates=estimates)
        if self._error is not None and not self._was_left_when_whole(self._error):
            self._fail(self._error)
        elif answer is None:  # The interpreter exited before an answer came, or the call's coroutine was dropped.
            call.status, call.error_code = "error", errors.INTERRUPTED
        if answer is None and self._was_sent():
            call.usage = call.sent

    def _complete_answer(self, answer: Answer, *, estimates: bool) -> None:
        call = self.call
        call.model = identity(answer.model) or call.model_requested
        call.provider_request_id = identity(answer.groq_id) or call.provider_request_id
        call.response_id = identity(answer.response_id)
        call.service_tier = identity(answer.service_tier)
        if call.stream and answer.first_content_ns is not None:
            call.ttft_ms = max(0, round((answer.first_content_ns - call.started_ns) / NANOSECONDS))
        try:
            call.usage = self._usage(answer, estimates=estimates)
        except Exception:
            note_failure("estimating what a call used")
            call.usage = Usage(estimated=True)
        self._judge(answer)

    def _was_left_when_whole(self, error: BaseException) -> bool:
        """Whether the answer was complete when the caller was cancelled or interrupted, so that the call succeeded."""
        return self.answer is not None and self.answer.is_whole and not isinstance(error, Exception)

    def _was_sent(self) -> bool:
        """Whether a call without an answer probably reached Groq. The last attempt decides: the call did not reach Groq
        if connecting failed, and was refused if the attempt was answered with an error status."""
        is_out = self._error is None or not errors.never_left(self._error)
        return self.call.attempts > 0 and self.call.http_status is None and is_out

    def _judge(self, answer: Answer) -> None:
        """Sets status and error code from the answer. Leaving a stream early is no failure, but gets a code."""
        call = self.call
        if answer.error is not None:
            call.status = "error"
            call.error_code = errors.code_of_body(answer.error) or errors.STREAM_ERROR
            call.error_message = errors.message_of_body(answer.error, self._asked.body, self._api_key)
        elif answer.stopped:
            call.status, call.error_code = "error", errors.STREAM_ERROR
            private = errors.private_texts(self._asked.body)
            call.error_message = errors.safe_message(answer.stopped, private, self._api_key)
        elif answer.is_broken or answer.is_foreign:
            call.status, call.error_code = "error", errors.INVALID_RESPONSE
        elif self._is_abandoned:
            call.error_code = "" if answer.is_whole else errors.ABANDONED
        elif answer.is_events and not answer.is_whole:
            call.status, call.error_code = "error", errors.INCOMPLETE

    def _fail(self, error: BaseException) -> None:
        call = self.call
        call.status = "error"
        call.error_code = errors.code_of(error)
        call.error_message = errors.message_of(error, self._asked.body, self._api_key)
        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        if self.answer is None and isinstance(response, httpx.Response):
            self.take_head(response.status_code, response.headers.raw)

    def _usage(self, answer: Answer, *, estimates: bool) -> Usage:
        """The usage that Groq reported; missing counts are estimated or, without ``estimates``, taken from ``sent``."""
        if self.call.operation == "speech":
            return Usage(characters=self._asked.characters)
        if self.call.operation in AUDIO:
            return self._audio_usage(answer, measures=estimates)
        if answer.is_foreign:
            return Usage(estimated=True)
        reported = answer.believed() if estimates else answer.reported
        usage = reported.usage if reported is not None else Usage()
        usage = replace(usage, parts=answer.parts, tools=answer.tools.uses())
        read = reported.input_tokens if reported is not None else None
        written = reported.output_tokens if reported is not None else None
        if read is not None and written is not None:
            return consistent(usage)
        if read is None:
            read = _estimated_input(self._asked, self.call.model) if estimates else self.call.sent.input_tokens
        if written is None:
            written = _estimated_output(answer, self.call.model) if estimates else 0
        return consistent(replace(usage, input_tokens=read, output_tokens=written, total_tokens=0, estimated=True))

    def _audio_usage(self, answer: Answer, *, measures: bool) -> Usage:
        if answer.audio_seconds is not None:
            return Usage(audio_seconds=answer.audio_seconds)
        if measures:
            self._measure_audio()
        length = self._audio_length
        if length is None:
            return Usage(estimated=True)
        return Usage(audio_seconds=length.seconds, estimated=not length.is_certain)


class ObservedStream(httpx.SyncByteStream):
    """The unchanged byte stream of a response, which passes a copy of its bytes to a recording."""

    def __init__(self, stream: httpx.SyncByteStream, lease: Lease) -> None:
        self._stream = stream
        self._lease = lease

    def __iter__(self) -> Iterator[bytes]:
        recording = self._lease.recording
        see = recording.see
        try:
            for chunk in self._stream:
                if see(chunk):
                    recording.end()
                yield chunk
        except GeneratorExit:  # The reader has left; close() or the lease ends the call.
            raise
        except BaseException as error:
            recording.end(error)
            raise
        recording.see_end()
        recording.end()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._lease.recording.end(is_abandoned=True)


class ObservedAsyncStream(httpx.AsyncByteStream):
    """The unchanged byte stream of an asynchronous response, which passes a copy of its bytes to a recording."""

    def __init__(self, stream: httpx.AsyncByteStream, lease: Lease) -> None:
        self._stream = stream
        self._lease = lease

    async def __aiter__(self) -> AsyncIterator[bytes]:
        recording = self._lease.recording
        see = recording.see
        try:
            async for chunk in self._stream:
                if see(chunk):
                    await recording.end_async()
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            await recording.end_async(error)
            raise
        recording.see_end()
        await recording.end_async()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            await self._lease.recording.end_async(is_abandoned=True)


def observe(response: httpx.Response, lease: Lease) -> bool:
    """Makes the lease's recording see the body of ``response``. False if the body was read, and seen, already."""
    answer = lease.recording.answered(response.status_code, response.headers.raw)
    if response.is_closed and response.is_stream_consumed:
        answer.take_document(response.content)
        return False
    dispatcher.ready()
    loosen(response)
    if isinstance(response.stream, httpx.AsyncByteStream) and not isinstance(response.stream, httpx.SyncByteStream):
        response.stream = ObservedAsyncStream(response.stream, lease)
    else:
        response.stream = ObservedStream(response.stream, lease)
    return True


async def _until(future: "Future[None]") -> None:
    """Waits for ``future`` on the event loop of asyncio or Trio. Cancelling the wait does not stop the work."""
    if not _on_event_loop():
        with suppress(RuntimeError):  # The loop is closed, and nobody waits on it any more.
            # Trio, which the SDK supports as well.
            await anyio.to_thread.run_sync(wait, (future,), abandon_on_cancel=True)
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # The loop was closed, and nobody waits on it any more.
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _estimated_input(asked: Asked, model: str) -> int:
    if asked.operation == "embedding":
        return tokens.estimate_embedding_input(asked.body, model)
    return tokens.estimate_prompt(asked.body, model)


def _estimated_output(answer: Answer, model: str) -> int:
    texts, scale = answer.texts()
    if not texts:
        return 0
    calls = texts.tool_calls()
    counted = tokens.estimate_completion("".join(texts.content), "".join(texts.reasoning), calls, model)
    return round(counted * scale)


def _end_all() -> None:
    """Ends every open call at the interpreter's exit."""
    for recording in list(_open):
        recording.end(is_abandoned=True)


def _forget_all() -> None:
    """Forgets the open calls in a forked child, because the parent records them."""
    _open.clear()


os.register_at_fork(after_in_child=_forget_all)

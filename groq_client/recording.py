"""The life of one recorded call: it starts, an answer may come, it ends once.

A call can end in many ways, and often in two of them at a time (a stream is read to its end, closed, then collected).
``_open`` holds the calls that have not ended; taking a call out of it is what ends it, and only one taker gets it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial

import anyio.to_thread
import httpx

from groq_client import errors, recorder
from groq_client.answer import Answer
from groq_client.asked import Asked
from groq_client.audio import seconds_of
from groq_client.call import Call, CallRefused, Recorder, Usage
from groq_client.context import clean
from groq_client.dispatch import dispatcher, finish_at_exit
from groq_client.recorder import note_failure
from groq_client.usage import read_rate_limit

NANOSECONDS = 1_000_000

_open: dict["Recording", None] = {}


class Lease:
    """Held by whoever can still finish a call: the running request, then the stream that was handed out.

    When the last holder is gone without having ended the call, nobody will: the call was abandoned.
    """

    __slots__ = ("__weakref__", "is_handed_on", "recording")

    def __init__(self, recording: "Recording") -> None:
        self.recording = recording
        self.is_handed_on = False
        """A stream holds the lease now, and ends the call."""

    def __del__(self) -> None:
        try:
            self.recording.abandon()
        except Exception:
            note_failure("recording an abandoned call")


class Recording:
    """One call and what is seen of it. ``api_key`` is only there to be kept out of messages."""

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
        self._audio_seconds: Decimal | None = None

    # How it starts

    def start(self) -> None:
        """Tells the recorder. Raises :class:`CallRefused` if the call must not be sent."""
        self._register()
        try:
            if recorder.is_blocking(self._recorder, "start") and _on_event_loop():
                # A synchronous call holds up the loop anyway; but what the recorder uses may insist on a plain thread.
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
        except BaseException as error:  # Cancelled while the recorder was asked.
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
        """A file object may be closed when the call has ended; bytes stay."""
        try:
            return self._asked.audio is not None and not isinstance(self._asked.audio, bytes)
        except Exception:
            note_failure("looking at an audio file")
            return False

    def _measure_audio(self) -> None:
        if self._asked.audio is not None:
            self._audio_seconds = seconds_of(self._asked.audio)
            self._asked.audio = None

    # What comes back

    def answered(self, response: httpx.Response) -> Answer:
        """A response has begun. Its body is then given to the answer, by whoever reads it."""
        headers = self._take_head(response)
        encoding = headers.get("content-encoding", "").strip().lower()
        self.answer = Answer(self.call.operation, headers.get("content-type", ""), encoding)
        return self.answer

    def _take_head(self, response: httpx.Response) -> dict[str, str]:
        # A plain dictionary, because httpx's compares every name for each of the names that are asked for.
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        self.call.http_status = response.status_code
        self.call.rate_limit = read_rate_limit(headers)
        self.call.provider_request_id = clean(headers.get("x-request-id", ""))
        return headers

    def see(self, chunk: bytes) -> bool:
        """The next bytes of the body. True if they tell that the call has failed."""
        try:
            return self.answer is not None and self.answer.feed(chunk)
        except Exception:
            note_failure("reading a stream")
            return False

    def see_end(self) -> None:
        """The body has been read to its last byte."""
        try:
            if self.answer is not None:
                self.answer.end()
        except Exception:
            note_failure("reading an answer")

    # How it ends

    def end(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """Ends the call, unless it has ended. With a running event loop in this thread, it does not wait."""
        if self._take(error, is_abandoned=is_abandoned):
            if self._is_to_be_told_elsewhere() and _on_event_loop():
                dispatcher.submit(self._tell)
            else:
                self._tell()

    async def end_async(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """Ends the call, unless it has ended, and waits for the recorder without holding up the loop.

        The recorder gets the call even if the waiting is cancelled.
        """
        if not self._take(error, is_abandoned=is_abandoned):
            return
        if isinstance(error, GeneratorExit):  # The coroutine is being closed: it may not wait any more.
            dispatcher.submit(self._tell)
        elif self._is_to_be_told_elsewhere():
            await _until(dispatcher.submit(self._tell))
        else:
            self._tell()

    def abandon(self) -> None:
        """Nobody is left who could end the call. Called by a finalizer: it neither waits nor takes a lock."""
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
        if is_abandoned and self.answer is not None and self.answer.last_ns is not None:
            self._ended_ns = self.answer.last_ns  # Not the moment at which it was closed or collected.
        return True

    def _is_to_be_told_elsewhere(self) -> bool:
        """Whether telling may block: the recorder does, or there are tokens to be counted."""
        try:
            is_to_be_counted = self.answer is not None and not self.answer.is_counted
        except Exception:
            note_failure("reading an answer")
            return True
        return is_to_be_counted or recorder.is_blocking(self._recorder, "finish")

    def _tell(self) -> None:
        """Completes the call and hands it to the recorder.

        Ctrl-C, or ``sys.exit`` in a signal handler, may come in between. They go on, but not before the call was put
        where it is told once more: a ledger knows it by its request id.
        """
        try:
            self._complete_safely()
            recorder.finish(self._recorder, self.call)
        except BaseException as error:
            dispatcher.put(partial(recorder.finish, self._recorder, self.call))
            if not isinstance(error, Exception):
                raise
            note_failure("telling the recorder of an ended call")

    def _complete_safely(self) -> None:
        if self._starting is not None and not self._starting.done():
            # The caller was cancelled while the recorder was asked. The work was queued before this and has a thread.
            self._starting.exception()
        try:
            self._complete()
        except Exception:
            note_failure("reading an answer")
        try:
            self._forget_content()
        except Exception:
            note_failure("forgetting an answer")

    def _forget_content(self) -> None:
        self._error = None
        self._asked = Asked(self.call.operation)
        if self.answer is not None:
            self.answer.forget()

    # What is recorded of it

    def _complete(self) -> None:
        call, answer = self.call, self.answer
        call.latency_ms = max(0, round((self._ended_ns - call.started_ns) / NANOSECONDS))
        if answer is not None:
            self._complete_answer(answer)
        if self._error is not None:
            self._fail(self._error)
        elif answer is None:  # It was still on its way when the interpreter exited, or its coroutine was dropped.
            call.status, call.error_code = "error", errors.INTERRUPTED

    def _complete_answer(self, answer: Answer) -> None:
        call = self.call
        call.model = clean(answer.model) or call.model_requested
        call.provider_request_id = clean(answer.groq_id) or call.provider_request_id
        call.service_tier = clean(answer.service_tier)
        if call.stream and answer.first_content_ns is not None:
            call.ttft_ms = max(0, round((answer.first_content_ns - call.started_ns) / NANOSECONDS))
        try:
            call.usage = self._usage(answer)
        except Exception:
            note_failure("estimating what a call used")
            call.usage = Usage(estimated=True)
        self._judge(answer)

    def _judge(self, answer: Answer) -> None:
        """Whether the answer was one. Stopping to read before its end is no failure, but is told."""
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
            call.error_code = "" if answer.is_complete or answer.is_counted else errors.ABANDONED
        elif answer.is_events and not answer.is_complete:
            call.status, call.error_code = "error", errors.INCOMPLETE

    def _fail(self, error: BaseException) -> None:
        call = self.call
        call.status = "error"
        call.error_code = errors.code_of(error)
        call.error_message = errors.message_of(error, self._asked.body, self._api_key)
        response = getattr(error, "response", None)
        if self.answer is None and isinstance(response, httpx.Response):
            self._take_head(response)

    def _usage(self, answer: Answer) -> Usage:
        if self.call.operation == "speech":
            return Usage(characters=self._asked.characters)
        if self.call.operation in ("transcription", "translation"):
            return self._audio_usage(answer)
        if answer.is_foreign:
            return Usage(estimated=True)
        reported = answer.reported
        usage = replace(reported.usage, parts=answer.parts) if reported is not None else Usage(parts=answer.parts)
        read = reported.input_tokens if reported is not None else None
        written = reported.output_tokens if reported is not None else None
        if read is not None and written is not None:
            return usage
        read = read if read is not None else _estimated_input(self._asked, self.call.model)
        written = written if written is not None else _estimated_output(answer, self.call.model)
        return replace(usage, input_tokens=read, output_tokens=written, total_tokens=read + written, estimated=True)

    def _audio_usage(self, answer: Answer) -> Usage:
        seconds = answer.audio_seconds
        if seconds is None:
            self._measure_audio()
            seconds = self._audio_seconds
        return Usage(audio_seconds=seconds or Decimal(0), estimated=seconds is None)


class ObservedStream(httpx.SyncByteStream):
    """The byte stream of a response, unchanged, with a recording that sees it pass."""

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
        except GeneratorExit:  # Whoever read it is gone: close() or the lease tell.
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
    """The same for asynchronous responses."""

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
    """Has the lease's recording see the body of ``response``. False if the body is there already, and was seen."""
    answer = lease.recording.answered(response)
    if response.is_closed and response.is_stream_consumed:
        answer.take_document(response.content)
        return False
    dispatcher.ready()
    if isinstance(response.stream, httpx.AsyncByteStream) and not isinstance(response.stream, httpx.SyncByteStream):
        response.stream = ObservedAsyncStream(response.stream, lease)
    else:
        response.stream = ObservedStream(response.stream, lease)
    return True


async def _until(future: "Future[None]") -> None:
    """Waits for work on the event loop at hand. Cancelling the waiting does not cancel the work."""
    if not _on_event_loop():
        with suppress(RuntimeError):  # The loop is gone, and with it whoever would wait.
            # Trio, which the SDK supports as well.
            await anyio.to_thread.run_sync(wait, (future,), abandon_on_cancel=True)
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # The loop was closed while nobody waited any more.
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
    from groq_client import tokens

    if asked.operation == "embedding":
        return tokens.estimate_embedding_input(asked.body, model)
    return tokens.estimate_prompt(asked.body, model)


def _estimated_output(answer: Answer, model: str) -> int:
    from groq_client import tokens

    texts, scale = answer.texts()
    if not texts:
        return 0
    calls = texts.tool_calls()
    counted = tokens.estimate_completion("".join(texts.content), "".join(texts.reasoning), calls, model)
    return round(counted * scale)


def _end_all() -> None:
    """At the interpreter's exit: whatever is still open ends here."""
    for recording in list(_open):
        recording.end(is_abandoned=True)


def _forget_all() -> None:
    """In a forked child: the calls that were open belong to the parent, which records them."""
    _open.clear()


os.register_at_fork(after_in_child=_forget_all)

"""vLLM as an ``Engine``. The only module that imports it; its errors become this program's here.

Import it inside ``engine_env.environment``. What was learnt about vLLM 0.27.1 and is kept here:

* Prompts go in as token ids; a request never carries a ``seed`` (it kills the engine on CPU) or a
  ``regex`` (its check blocks the loop).
* On CPU the model runs inside the engine's process and without compilation. With a process of its own
  for the model, as is the default, each step pays for two more hand-overs.
* Steps are followed through the statistics that the scheduler sends with each step, also for steps
  without any output; that is what the watchdog needs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, NoReturn

import vllm
from vllm import _custom_ops
from vllm.config import StructuredOutputsConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.inputs.engine import tokens_input
from vllm.platforms import current_platform
from vllm.plugins import DEFAULT_PLUGINS_GROUP
from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.executor.uniproc_executor import UniProcExecutor
from vllm.v1.metrics.loggers import StatLoggerBase

from worker import logs
from worker.config import Settings
from worker.errors import EngineAborted, EngineDead, ModelError, PromptTooLong, RequestFailed
from worker.judge import engine_guard, vllm_copied
from worker.judge.engine import Completion, EngineFacts, Request
from worker.judge.template import load_template
from worker.judge.watchdog import Watchdog

logger: Final = logging.getLogger(__name__)
#: Blocks of the prefix cache on CPU: whole blocks are shared, so small ones share more of a policy.
_CPU_BLOCK_TOKENS: Final = 32
#: Nothing is in flight by then, and an engine holds nothing that has to be put away.
_STOP_S: Final = 1.0


class VllmEngine:
    """One vLLM engine in a process of its own."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Remember what to build."""
        self._settings = settings
        self._folder = folder
        self._llm: Any = None
        self._window_tokens = 0
        self._dtype = ""
        self._numbers = itertools.count()
        self._scopes: set[asyncio.Timeout] = set()
        self._dead: str | None = None
        self._watchdog = Watchdog(settings.engine_stall_timeout_s, self._hangs)
        self._watching: asyncio.Task[None] | None = None

    @property
    def window_tokens(self) -> int:
        """The most tokens that prompt and answer may have together."""
        return self._window_tokens

    @property
    def facts(self) -> EngineFacts:
        """Version, number format and device."""
        return EngineFacts(
            version=f"vllm {vllm.__version__}",
            dtype=self._dtype,
            device=current_platform.get_device_name(),
        )

    async def start(self) -> None:
        """Build the engine; blocks the loop.

        It must be called in the main thread: the engine's process dies with the thread that starts it.

        Raises:
            ModelError: the model's folder cannot be served.
            EngineDead: the engine did not come up.

        """
        assert threading.current_thread() is threading.main_thread()
        if engine_guard.NAME not in entry_points(group=DEFAULT_PLUGINS_GROUP).names:
            logger.warning("the engine's processes outlive a killed worker: install this package again (make setup)")
        logs.adopt("vllm")
        config = self._config()
        try:
            self._llm = AsyncLLM.from_vllm_config(
                # Its request log holds prompts.
                config,
                stat_loggers=[self._step_counter],
                enable_log_requests=False,
            )
        except Exception as error:  # noqa: BLE001  (whatever broke in there, the engine is not up)
            text = f"the engine did not come up ({_brief(error)}); its log above and --set log_level=debug say more"
            raise EngineDead(text) from None
        self._window_tokens = int(self._llm.model_config.max_model_len)
        self._dtype = str(self._llm.model_config.dtype).removeprefix("torch.")
        self._watching = asyncio.create_task(self._watchdog.run())

    async def complete(self, request: Request) -> Completion:
        """Run one call; cancelling it frees what it held.

        Raises:
            EngineDead: the engine is gone or hangs.
            EngineAborted: a signal reached the engine, or it was shut down under the call.
            RequestFailed: the engine refused or failed this call.
            PromptTooLong: it does not fit the window.

        """
        self.check()
        if len(request.prompt_ids) + request.max_tokens > self.window_tokens:
            text = f"{len(request.prompt_ids)} + {request.max_tokens} tokens do not fit {self.window_tokens}"
            raise PromptTooLong(text)
        self._watchdog.began()
        try:
            async with asyncio.timeout(None) as scope:
                self._scopes.add(scope)
                output = await self._generate(request)
        except TimeoutError:
            self._raise_dead()
        finally:
            self._scopes.discard(scope)
            self._watchdog.ended()
        return _completion(output)

    def quiet_s(self) -> float:
        """Return for how long it has made no step although it has work, in seconds."""
        return self._watchdog.quiet_s

    def check(self) -> None:
        """Return while it is well.

        Raises:
            EngineDead: it is gone or hangs.

        """
        if self._dead is None and (self._llm is None or self._llm.errored):
            self._dead = "the engine process is gone; start the worker again"
        if self._dead is not None:
            self._raise_dead()

    async def stop(self) -> None:
        """End the engine and every process of it. Safe to call twice."""
        llm, self._llm = self._llm, None
        self._die("the engine was stopped")
        if self._watching is not None:
            self._watching.cancel()
        if llm is not None:
            if llm.output_handler is not None:
                # It would take the end for a death, and log it as an error.
                llm.output_handler.cancel()
            await asyncio.to_thread(llm.shutdown, timeout=_STOP_S)

    def _config(self) -> Any:
        settings = self._settings
        on_cpu = current_platform.is_cpu()
        try:
            return AsyncEngineArgs(
                model=str(self._folder),
                dtype=settings.dtype,
                tensor_parallel_size=settings.tensor_parallel_size,
                max_model_len=settings.max_model_len or None,
                max_num_seqs=settings.max_num_seqs,
                max_num_batched_tokens=max(settings.max_num_batched_tokens, settings.max_num_seqs),
                scheduling_policy="priority",
                structured_outputs_config=StructuredOutputsConfig(backend="xgrammar"),
                generation_config="vllm",
                load_format="safetensors",
                logits_processors=[vllm_copied.NAME] if load_template(self._folder).line_starts else None,
                enable_prefix_caching=True,
                use_tqdm_on_load=False,
                enforce_eager=on_cpu,
                block_size=_CPU_BLOCK_TOKENS if on_cpu else None,
                distributed_executor_backend=UniProcExecutor if on_cpu and settings.tensor_parallel_size == 1 else None,
                **({} if on_cpu else {"gpu_memory_utilization": settings.gpu_memory_utilization}),
            ).create_engine_config()
        except Exception as error:  # noqa: BLE001  (a folder can be wrong in as many ways as the library has errors)
            text = f"{self._folder.name} cannot be served ({_brief(error)}); it must be a decoder that vLLM knows"
            raise ModelError(text) from None

    async def _generate(self, request: Request) -> Any:
        prompt = tokens_input(request.prompt_ids, cache_salt=request.cache_salt)
        name = str(next(self._numbers))
        try:
            stream = self._llm.generate(prompt, _sampling(request), name, priority=request.priority)
            outputs = [output async for output in stream]
        except EngineDeadError:
            self._dead = "the engine process is gone; start the worker again"
            self._raise_dead()
        except VLLMClientError as error:
            # Its words may quote the request.
            text = f"the engine refused a request ({type(error).__name__})"
            raise RequestFailed(text) from None
        except EngineGenerateError as error:
            text = f"the engine failed a request ({type(error.__cause__ or error).__name__})"
            raise RequestFailed(text) from None
        return outputs[-1] if outputs else None

    def _step_counter(self, _config: Any, _index: int = 0) -> StatLoggerBase:
        return _StepCounter(self._watchdog)

    def _hangs(self) -> None:
        self._die(f"the engine made no step for {self._settings.engine_stall_timeout_s:g} s; start the worker again")

    def _die(self, reason: str) -> None:
        """Let every call in flight fail; a hung engine would never answer it."""
        self._dead = self._dead or reason
        now_s = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now_s)

    def _raise_dead(self) -> NoReturn:
        raise EngineDead(self._dead)


class _StepCounter(StatLoggerBase):  # type: ignore[misc]
    """Tells the watchdog of each engine step: the scheduler's statistics come with every one."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog

    def record(self, scheduler_stats: Any, *_args: Any, **_kwargs: Any) -> None:
        """Take one step's statistics."""
        if scheduler_stats is not None:
            self._watchdog.stepped()

    def log_engine_initialized(self) -> None:
        """Log nothing."""


def keep_weights() -> None:
    """Let engines that are built from now on keep their weights as they were loaded.

    The CPU build packs them for its kernels and throws them away, so training could not replace them.
    """
    _custom_ops._supports_onednn = False  # noqa: SLF001 - there is no setting for it


def _sampling(request: Request) -> SamplingParams:
    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        stop=list(request.stop) or None,
        stop_token_ids=list(request.stop_ids) or None,
        logprobs=request.logprobs or None,
        structured_outputs=StructuredOutputsParams(grammar=request.grammar) if request.grammar else None,
        extra_args=vllm_copied.extra_args(request.copied),
        # Only a stop text needs the text of every token as it comes.
        detokenize=bool(request.stop),
        skip_special_tokens=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
    )


def _completion(output: Any) -> Completion:
    """Read an answer.

    Raises:
        EngineAborted: there is none, since the request was cut short.
        RequestFailed: the engine says that it failed.

    """
    answer = output.outputs[0] if output is not None else None
    if answer is None or answer.finish_reason in {None, "abort"}:
        text = "the engine cut a request short; it is judged again"
        raise EngineAborted(text)
    if answer.finish_reason not in {"stop", "length"}:
        text = f"the engine ended a request with {answer.finish_reason!r}; its log says more"
        raise RequestFailed(text)
    first = answer.logprobs[0] if answer.logprobs else {}
    return Completion(
        token_ids=tuple(answer.token_ids),
        text=answer.text,
        finish_reason=answer.finish_reason,
        first_logprobs={token: entry.logprob for token, entry in first.items()},
        prompt_tokens=len(output.prompt_token_ids),
        cached_tokens=output.num_cached_tokens or 0,
    )


def _brief(error: BaseException) -> str:
    """Return the first line of an error's text, or its class: the rest is for the log."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__

"""Deployment files against the code: images, commands, ports, variables and paths, since nothing here can run them."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.main import get_command

from worker import __version__, broker, jars
from worker.cli import app
from worker.config import ENV_PREFIX, Settings, field_names
from worker.config_load import load
from worker.topics import DEFAULT_PARTITIONS

ROOT: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: Final = {
    name: yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    for name in ("docker-compose.yml", "deploy/compose.gpu.yml")
}
BASE: Final[dict[str, Any]] = COMPOSE["docker-compose.yml"]["services"]
GPU: Final[dict[str, Any]] = COMPOSE["deploy/compose.gpu.yml"]["services"]
FILES: Final = ("docker-compose.yml", "deploy/compose.gpu.yml", "deploy/Dockerfile", "deploy/README.md")
VARIABLES: Final = {ENV_PREFIX + name.upper(): name for name in field_names()}
#: What stands for a variable that somebody has to set.
GIVEN: Final = {"RSAFE_MODEL": "/models/x", "MODELS_DIR": "/models"}
#: Variables that say where something is written.
WRITTEN: Final = re.compile(
    r"_(?:CACHE_HOME|CONFIG_HOME|CACHE_ROOT|CONFIG_ROOT|CACHE_DIR|CACHE_PATH|BASE)$|^HF_HOME$|^MPL"
)
#: Python of a base image.
PYTHONS: Final = {"ubuntu24.04": "3.12", "ubuntu:24.04": "3.12"}
#: Kafka's settings that one machine in a container needs beside those of the embedded broker.
CONTAINER_ONLY: Final = {"listener.security.protocol.map"}
#: Settings of Kafka whose values may not differ between the embedded broker and the container.
SAME: Final = re.compile(r"replication|insync|min\.isr|auto\.create|unclean")


def read(name: str) -> str:
    """Read a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def instructions(keyword: str) -> list[str]:
    """Return the arguments of every Dockerfile instruction of one kind."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{keyword} (.*)$", joined, re.MULTILINE)


def environment_of_image() -> dict[str, str]:
    """Return what the image sets."""
    return dict(pair.split("=", 1) for line in instructions("ENV") for pair in line.split())


def arguments_of_image() -> dict[str, str]:
    """Return the image's build arguments with their defaults."""
    return dict(argument.split("=", 1) for argument in instructions("ARG"))


def resolved(text: object) -> str:
    """Put variables in as Compose does, with defaults, or with a sample where one must be given."""
    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", _value, str(text))


def _value(found: re.Match[str]) -> str:
    return GIVEN[found[1]] if ":?" in found[0] else found[2] or ""


def images() -> list[str]:
    """Return every image that is named anywhere."""
    services = [service for file in COMPOSE.values() for service in file["services"].values()]
    named = [service["image"] for service in services if "image" in service]
    bases = [service["build"]["args"]["BASE_IMAGE"] for service in services if "build" in service]
    return [*named, *bases, arguments_of_image()["BASE_IMAGE"]]


@pytest.mark.parametrize("image", sorted(set(images())))
def test_images_are_pinned(image: str) -> None:
    """Every image has a tag with a version in it; none is whatever happens to be the newest."""
    assert re.search(r":[^:/]*\d+\.\d+", image)
    assert "latest" not in image


def test_kafka_is_the_one_that_is_tested() -> None:
    """The container runs the version whose jars the tests run."""
    assert BASE["kafka"]["image"] == f"apache/kafka:{jars.kafka_version()}"


def test_own_images_carry_the_version() -> None:
    """The worker's images are tagged with the program's version, one tag for each base."""
    own = [image for image in images() if image.startswith("rsafe-worker:")]

    assert set(own) == {f"rsafe-worker:{__version__}-cpu", f"rsafe-worker:{__version__}-gpu"}


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_a_setting(name: str) -> None:
    """No file sets or names a variable of ours that nothing reads."""
    named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]*[A-Z]\b", read(name)))

    assert named <= set(VARIABLES)


@pytest.mark.parametrize("file", COMPOSE)
@pytest.mark.parametrize("service", ["topics", "worker"])
def test_the_settings_of_each_service_can_be_loaded(file: str, service: str) -> None:
    """What a service gets, on top of what the image sets, are settings that the program takes."""
    layers = [
        environment_of_image(),
        BASE[service]["environment"],
        COMPOSE[file]["services"][service].get("environment", {}),
    ]
    merged = {key: resolved(value) for layer in layers for key, value in layer.items()}

    settings = load(environ=merged)

    assert settings.web_host == "0.0.0.0"  # noqa: S104  (inside the container)
    assert settings.bootstrap_servers == "kafka:19092"


def test_defaults_are_the_programs_own() -> None:
    """Where the file gives a default for a variable it is the setting's default."""
    given = re.findall(rf"\$\{{{ENV_PREFIX}(\w+):-([^}}]*)\}}", read("docker-compose.yml"))

    assert given
    assert [pair for pair in given if str(getattr(Settings(), pair[0].lower())) != pair[1]] == []


def test_clients_reach_kafka_where_it_says_it_is() -> None:
    """The worker's address is an advertised listener of the network, the host's another that is published."""
    advertised = dict(
        item.split("://") for item in BASE["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )

    assert advertised["PLAINTEXT"] == BASE["worker"]["environment"]["RSAFE_BOOTSTRAP_SERVERS"]
    assert advertised["HOST"] == Settings().bootstrap_servers
    assert f"{advertised['HOST']}:9092" in BASE["kafka"]["ports"]
    assert advertised["PLAINTEXT"] in BASE["kafka"]["healthcheck"]["test"]


def test_kafka_is_set_like_the_embedded_broker() -> None:
    """Every variable is a setting that the embedded broker has too; what guards records has the same value."""
    ours = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in BASE["kafka"]["environment"].items()
    }
    theirs = dict(line.split("=", 1) for line in broker._SERVER_PROPERTIES.splitlines())

    assert set(ours) <= set(theirs) | CONTAINER_ONLY
    assert {key: value for key, value in ours.items() if SAME.search(key) and theirs[key] != value} == {}


@pytest.mark.parametrize("service", ["topics", "worker"])
def test_commands_exist(service: str) -> None:
    """A service's command is one of the program's, with options that it has."""
    words = BASE[service]["command"]
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    known = {flag for parameter in command.params for flag in parameter.opts}

    assert not hasattr(command, "commands")
    assert {word for word in words if word.startswith("--")} <= known


def test_the_image_starts_the_program() -> None:
    """Entry point and command are those of the package."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    entry, command = (json.loads(instructions(keyword)[0]) for keyword in ("ENTRYPOINT", "CMD"))

    assert entry[0] in project["scripts"]
    assert command[0] in get_command(app).commands  # type: ignore[attr-defined]


def test_ports_agree() -> None:
    """The port of the settings is the one that is exposed, asked for health, and published."""
    port = Settings().web_port

    assert instructions("EXPOSE") == [str(port)]
    assert environment_of_image()["RSAFE_WEB_PORT"] == str(port)
    assert BASE["worker"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_nothing_is_published_beyond_this_machine() -> None:
    """Without encryption and login every port stays on the loopback address."""
    ports = [
        port for file in COMPOSE.values() for service in file["services"].values() for port in service.get("ports", [])
    ]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_health_check_asks_a_page_that_exists() -> None:
    """The image's health check asks for liveness at the worker's own port, and is a program that compiles."""
    check = instructions("HEALTHCHECK")[0]
    words = json.loads(check[check.index("CMD ") + 4 :])
    asked = re.findall(r"'(/\w+)'", words[-1])

    compile(words[-1], "health check", "exec")
    assert asked == ["/livez"]
    assert '"/livez"' in read("worker/stream/app.py")


def test_a_stop_has_time_to_drain() -> None:
    """Docker waits longer than a drain and what follows it take together."""
    grace_s = float(BASE["worker"]["stop_grace_period"].removesuffix("s"))

    assert grace_s >= Settings().drain_timeout_s + 10


def test_topics_have_the_usual_partitions() -> None:
    """The number is the program's own default."""
    assert BASE["topics"]["command"][-2:] == ["--partitions", str(DEFAULT_PARTITIONS)]


def test_order_of_start() -> None:
    """Topics wait for Kafka, the worker waits for topics."""
    assert BASE["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert BASE["worker"]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_the_gpu_file_changes_services_that_exist() -> None:
    """The overlay names services of the base file, builds from the GPU's lock and asks for the device."""
    device = GPU["worker"]["deploy"]["resources"]["reservations"]["devices"][0]

    assert set(GPU) <= set(BASE)
    assert {service["build"]["args"]["LOCK"] for service in GPU.values()} == {"deploy/gpu.lock"}
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_image_is_for_a_gpu_unless_said_otherwise() -> None:
    """The defaults of the image are what the overlay asks for."""
    assert GPU["worker"]["build"]["args"] == arguments_of_image()


@pytest.mark.parametrize("args", [BASE["worker"]["build"]["args"], GPU["worker"]["build"]["args"]], ids=["cpu", "gpu"])
def test_base_images_fit_the_lock(args: dict[str, str]) -> None:
    """The base's Python is one that the project takes; its CUDA is the one that the lock's libraries are for."""
    python = next(version for tag, version in PYTHONS.items() if args["BASE_IMAGE"].endswith(tag))
    wanted = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    low, high = (tuple(map(int, bound.split("."))) for bound in re.findall(r"\d+\.\d+", wanted))
    cuda = re.search(r"cuda:(\d+\.\d+)", args["BASE_IMAGE"])
    runtime = re.search(r"^nvidia-cuda-runtime==(\d+\.\d+)", read(args["LOCK"]), re.MULTILINE)

    assert low <= tuple(map(int, python.split("."))) < high
    assert bool(cuda) == ("gpu" in args["LOCK"])
    assert not cuda or (runtime and cuda[1] == runtime[1])


def test_everything_copied_exists_and_is_sent() -> None:
    """Each source of a COPY is in the repository and not kept from the builder."""
    kept = [line.removeprefix("!") for line in read(".dockerignore").splitlines() if line.startswith("!")]
    sources = [word for line in instructions("COPY") for word in shlex.split(line)[:-1]]
    locks = ["deploy/gpu.lock", "deploy/cpu.lock"]
    paths = [path for source in sources for path in (locks if source == "${LOCK}" else [source])]

    assert len(paths) >= 6
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path in paths if not any(Path(path).match(pattern) for pattern in kept)] == []


def test_everything_installed_is_hashed() -> None:
    """Each install takes a lock with hashes, or this program alone; none follows dependencies by itself."""
    steps = [step for line in instructions("RUN") for step in line.split("&&") if re.search(r"\bpip install\b", step)]

    assert len(steps) == 3
    for step in steps:
        assert "--require-hashes -r" in step or step.strip().endswith("--no-deps --no-build-isolation .")
        assert "uv pip" not in step or "--no-deps" in step


def test_the_image_does_not_run_as_root() -> None:
    """The last user is another one, whose home is the volume that is kept; all it writes goes there."""
    user = instructions("USER")
    home = environment_of_image()["HOME"]
    steps = " ".join(instructions("RUN"))
    caches = [value for key, value in environment_of_image().items() if WRITTEN.search(key)]

    assert user == ["10001:10001"]
    assert "groupadd --system --gid 10001 rsafe" in steps
    assert re.search(rf"useradd .*--uid 10001 --gid 10001 .*--home-dir {home} rsafe", steps)
    assert instructions("VOLUME") == [home]
    assert len(caches) >= 11
    assert all(path.startswith(f"{home}/") for path in caches)
    assert BASE["worker"]["volumes"] == [f"worker-cache:{home}"]
    assert {service["user"] for name, service in BASE.items() if name != "kafka"} == set(user)


@pytest.mark.parametrize("service", BASE)
def test_a_service_may_do_little(service: str) -> None:
    """No root, no capability, none to be gained, and a root file system that cannot be written."""
    given = BASE[service]

    assert not given["user"].startswith(("0", "root"))
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in given
    assert "privileged" not in given
    assert any(place.split(":")[0] == "/tmp" for place in given["tmpfs"])  # noqa: S108  (inside the container)


def test_the_overlay_takes_nothing_back() -> None:
    """What a service may do is said in one file."""
    said = {key for service in GPU.values() for key in service}

    assert said & {"user", "read_only", "tmpfs", "cap_drop", "cap_add", "security_opt", "privileged"} == set()


def test_modules_are_compiled_in_the_image() -> None:
    """Nothing can be written beside them later, and a start that compiles them takes long."""
    steps = [step for line in instructions("RUN") for step in line.split("&&") if "uv pip install" in step]

    assert len(steps) == 2
    assert all("--compile-bytecode" in step for step in steps)


def test_volumes_are_declared() -> None:
    """Each named volume of a service is declared, and none is left over."""
    used = {volume.split(":")[0] for service in BASE.values() for volume in service.get("volumes", [])}

    assert used == set(COMPOSE["docker-compose.yml"]["volumes"])


def test_files_named_in_the_readme_exist() -> None:
    """Each ``-f FILE`` of a Compose command, and the driver's version, are what the files need."""
    text = read("deploy/README.md")
    named = re.findall(r"-f (\S+\.yml)", text)

    assert set(named) == set(COMPOSE)
    assert f"127.0.0.1:{Settings().web_port}" in text
    assert Settings().bootstrap_servers in text

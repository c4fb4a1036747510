"""Pods as processes, shown on a stand-in service that answers probes and does as it is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.support.eventually import eventually
from tests.support.pods import Pod
from tests.support.ports import free_port

SERVICE = """
import http.server, os, signal, sys, time

class Probes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/readyz": "ready", "/metrics": 'hits_total{type="CHAT",hop="up"} 2.0\\nhits_total{type="x",hop="up"} 3.0\\n'}
        text = body.get(self.path, "").encode()
        self.send_response(200 if text else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

if os.environ.get("WARREN_FAIL"):
    sys.exit("the settings are wrong")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while os.path.exists("hold"):
    time.sleep(0.01)
print("speaking with", os.environ["WARREN_AMQP_URL"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["WARREN_STAND_IN_PORT"])), Probes).serve_forever()
"""


@pytest.fixture(params=["forked", "fresh"])
def pod(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    """A pod of the stand-in; the environment around it has a WARREN_FAIL that must not reach it."""
    (tmp_path / "standin.py").write_text(SERVICE)
    monkeypatch.setenv("WARREN_FAIL", "leaked")
    port = free_port()
    env = {"WARREN_AMQP_URL": "amqp://broker/", "WARREN_STAND_IN_PORT": str(port)}
    pod = Pod("standin", "standin-1", env, port, tmp_path, fresh=request.param == "fresh")
    yield pod
    pod.close()


async def test_a_pod_is_ready_when_it_says_so(pod: Pod) -> None:
    """Start returns once /readyz answers 200; the pod has the environment it was given, and its metrics can
    be summed.
    """
    await pod.start()
    assert "speaking with amqp://broker/" in pod.log()
    assert await pod.metric("hits_total", hop="up") == 5
    assert await pod.metric("hits_total", type="CHAT") == 2
    assert await pod.metric("hits") == 0


async def test_a_pod_has_begun_once_its_present_life_has_said_something(pod: Pod) -> None:
    """Its former lives' words don't count."""
    await pod.start()
    assert pod.begun
    pod.kill()
    hold = pod.log_file.with_name("hold")
    hold.touch()
    pod.launch()
    assert not pod.begun
    hold.unlink()
    await pod.ready()
    assert pod.begun


async def test_a_pod_that_fails_says_why(pod: Pod) -> None:
    """A pod that ends at its start is reported at once with its exit code and its log."""
    pod.env["WARREN_FAIL"] = "1"
    with pytest.raises(AssertionError, match=r"(?s)standin-1 ended with 1; .*the settings are wrong"):
        await pod.start(timeout_s=60)


async def test_terminated_killed_and_started_again(pod: Pod) -> None:
    """SIGTERM ends it with its own code, SIGKILL with the signal, and after each it can live again on the
    same port.
    """
    await pod.start()
    assert await pod.terminate() == 0
    await pod.start()
    pod.kill()
    assert await pod.ended() == -signal.SIGKILL
    assert not pod.running
    await pod.start()
    assert pod.running


async def test_a_paused_pod_is_silent(pod: Pod) -> None:
    """A frozen pod keeps its port and answers nobody; a resumed one answers again."""
    await pod.start()
    pod.pause()
    with pytest.raises(TimeoutError):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as session:
            await session.get(pod.internal_url + "/readyz")
    pod.resume()
    status, _ = await eventually(lambda: pod.get("/readyz"))
    assert status == 200


async def test_closing_prints_the_log(pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    """Close ends the pod whatever its state, and its log is in the test's output."""
    await pod.start()
    pod.pause()
    pod.close()
    assert "speaking with amqp://broker/" in capsys.readouterr().out
    assert not pod.running

"""How many events a second one node can publish into the buffers of two others, against raw Zenoh.

An agent is embedded in this process and publishes batches of 20 at a steady rate; two more agents are
processes of their own; all share the machine. The rate is raised until the others do not have everything
one second after the end. The baseline is Zenoh and msgspec alone doing the same push on two rails, with
the same removal of second copies: what is left when nothing is numbered, kept, folded or served.

    python -m benchmarks.rate [--seconds 5] [--rates 10000,20000,…]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import msgspec
import uvloop

from benchmarks.agents import Agents, free_port, pause
from tocsin import logs
from tocsin.agent import Agent
from tocsin.config import load
from tocsin.core.event import report
from tocsin.forwarder.zenoh import ZenohRail

BATCH = 20
RATES = (10_000, 15_000, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000)


async def publish(agent: Agent, rate: int, seconds: float) -> int:
    """Publishes at a rate as far as this process can; returns how many."""
    drafts = [report("bench.tick", f"subject{n}", None, "a line of plain words") for n in range(BATCH)]
    start, sent = time.monotonic(), 0
    while (now := time.monotonic() - start) < seconds:
        while sent < now * rate:
            agent.publish(drafts)
            sent += BATCH
            if sent % (10 * BATCH) == 0:
                break
        await asyncio.sleep(0)
    return sent


async def embedded(rails: list[str], urls: list[str], seconds: float, rates: list[int]) -> int:
    """Raises the rate as long as the other two keep up; returns the highest that they did."""
    listen = f"127.0.0.1:{free_port('127.0.0.1')}"
    flags = {"cluster.name": "bench", "node.name": "node3", "node.listen": listen, "buffer.retain": 2.0}
    agent = Agent(
        load(None, {}, {**flags, "rails": rails, "log.level": "warning"}, default_file=Path("/none"))
    )
    running = asyncio.get_running_loop().create_task(agent.run())
    best = 0
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def last(url: str) -> int:
            text = (await client.get(f"{url}/metrics")).text
            [line] = [x for x in text.splitlines() if x.startswith("tocsin_buffer_last_number ")]
            return int(float(line.split()[1]))

        while agent.readiness() or len(agent.replica.liveness.living(agent.now(), 1.0)) < 2:
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        for rate in rates:
            before = [await last(url) for url in urls]
            sent = await publish(agent, rate, seconds)
            await asyncio.sleep(1)
            got = [await last(url) - was for url, was in zip(urls, before, strict=True)]
            kept = sent >= 0.98 * rate * seconds and min(got) >= sent
            print(f"  asked {rate}/s, published {sent / seconds:,.0f}/s, arrived {min(got) / sent:.1%}")
            if not kept:
                break
            best = rate
    running.cancel()
    await agent.forwarder.stop()
    return best


def ours(seconds: float, rates: list[int]) -> int:
    """Events a second into the buffers of two other agents."""
    with tempfile.TemporaryDirectory() as directory:
        agents = Agents(Path(directory), 3, settings="[buffer]\nretain = 2\n", embedded=1)
        with agents:
            return uvloop.run(embedded(agents.rails(2), agents.urls[:2], seconds, rates))


# -- the baseline ----------------------------------------------------------------------------------------


def raw_rails(ends: list[list[str]], node: int) -> list[ZenohRail]:
    """The two rails of one node, bare."""
    return [
        ZenohRail(f"rail{rail + 1}", cluster="raw", node=f"node{node + 1}", listen=ends[node][rail],
                  connect=[e[rail] for n, e in enumerate(ends) if n != node])
        for rail in range(2)
    ]  # fmt: skip


def raw_receiver(ends: list[list[str]], node: int, pipe: Connection) -> None:
    """Counts events, each once, until told to stop."""

    async def main() -> None:
        decoder = msgspec.msgpack.Decoder(tuple[int, list[bytes]])
        known = count = 0

        def deliver(sender: str, payload: bytes) -> None:
            nonlocal known, count
            first, events = decoder.decode(payload)
            if first >= known:  # not the copy from the other rail; what was dropped does not count
                known = first + len(events)
                count += len(events)

        rails = raw_rails(ends, node)
        for rail in rails:
            rail.start(deliver)
        while not pipe.poll():
            await asyncio.sleep(0.05)
        pipe.send(count)
        await asyncio.gather(*(rail.close() for rail in rails))

    uvloop.run(main())


async def raw_publisher(ends: list[list[str]], seconds: float) -> int:
    """Pushes batches on both rails as fast as this process can."""
    rails = raw_rails(ends, 2)
    for rail in rails:
        rail.start(lambda sender, payload: None)
    await asyncio.sleep(3)
    encoder, body = msgspec.msgpack.Encoder(), b"x" * 300
    start, sent = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        for _ in range(10):
            payload = encoder.encode((sent, [body] * BATCH))
            for rail in rails:
                rail.send(payload)
            sent += BATCH
        await asyncio.sleep(0)
    await asyncio.sleep(1)
    await asyncio.gather(*(rail.close() for rail in rails))
    return sent


def raw(seconds: float) -> float:
    """Events a second that reach the slower of two receivers."""
    ends = [
        [f"tcp/127.0.{r + 1}.{n + 1}:{free_port(f'127.0.{r + 1}.{n + 1}')}" for r in range(2)]
        for n in range(3)
    ]
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for node in (0, 1):
        here, there = context.Pipe()
        process = context.Process(target=raw_receiver, args=(ends, node, there), daemon=True)
        process.start()
        pipes.append(here)
        processes.append(process)
    uvloop.run(raw_publisher(ends, seconds))
    for pipe in pipes:
        pipe.send(None)
    got = min(int(pipe.recv()) for pipe in pipes)
    for process in processes:
        process.join(10)
    return got / seconds


def main() -> None:
    """Prints both and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rates", default=",".join(map(str, RATES)))
    options = parser.parse_args()
    logs.setup("error")
    baseline = raw(options.seconds)
    print(f"raw Zenoh and msgspec: {baseline:,.0f} events/s to both receivers")
    pause(1)
    rate = ours(options.seconds, [int(r) for r in options.rates.split(",")])
    print(f"into the buffers of two others: {rate:,} events/s, {rate / baseline:.2f} of raw")


if __name__ == "__main__":
    main()

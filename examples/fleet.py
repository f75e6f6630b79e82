"""Several tries of one task at once, no more than a few at a time; the first that succeeds ends the others.

python examples/fleet.py [TRIES]
"""

from __future__ import annotations

import asyncio
import sys

from aish.client import AsyncAish, AsyncProcess

AT_ONCE = 3
TASK = "sleep 0.$1; echo try $1 >&2; test $1 -ge 4"


async def attempt(aish: AsyncAish, seats: asyncio.Semaphore, number: int) -> AsyncProcess:
    """One try, in its turn. Raises RuntimeError where it fails; ends its process where it is cancelled."""
    async with seats:
        process = await aish.spawn(["sh", "-c", TASK, "sh", str(number)], name=f"try-{number}", labels={"fleet": "1"})
        try:
            end = await process.wait(timeout_s=60)
        except asyncio.CancelledError:
            await process.stop(grace_s=1)
            raise
        if not end.ok:
            raise RuntimeError(f"{process.name}: {end}")
        return process


async def main(tries: int) -> int:
    """The exit status: 0 where one of the tries succeeded."""
    seats = asyncio.Semaphore(AT_ONCE)
    async with AsyncAish() as aish:
        tasks = [asyncio.create_task(attempt(aish, seats, number)) for number in range(tries)]
        try:
            for task in asyncio.as_completed(tasks):
                try:
                    winner = await task
                except RuntimeError as failure:
                    print(f"failed: {failure}")
                    continue
                said = [line.text async for line in winner.logs()]
                print(f"{winner.name} made it: {' '.join(said)}")
                return 0
            return 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)))

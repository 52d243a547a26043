# mcp_client.py MODE...: sessions of the Model Context Protocol's own client with
# `wrenn mcp`, by the handshake ("legacy") or in the newest revision that both
# know ("auto"). Prints what it has got, as lines of JSON.
import asyncio
import json
import os
import sys

import anyio
from mcp import Client, StdioServerParameters
from mcp.client import stdio
from mcp.client.stdio import stdio_client

# On a busy machine the capsules are not destroyed in the two seconds after which
# a server is killed.
stdio.PROCESS_TERMINATION_TIMEOUT = 60


def tell(*values):
    print(json.dumps(values), flush=True)


async def main(mode):
    server = StdioServerParameters(command="bin/wrenn", args=["mcp"],
                                   env=dict(os.environ))
    async with Client(stdio_client(server), mode=mode) as client:
        tell(client.protocol_version, client.server_info.name)
        tell(*[tool.name for tool in (await client.list_tools()).tools])
        made = (await client.call_tool("create", {})).structured_content["id"]

        async def run(command):
            return await client.call_tool(
                "exec", {"capsule": made, "command": command})

        done = await run("echo out; echo err >&2; exit 3")
        tell(done.is_error, done.structured_content)
        done = await client.call_tool("exec", {"capsule": "none",
                                               "command": "true"})
        tell(done.is_error)

        # A call that is given up ends its command.
        async with anyio.create_task_group() as group:
            group.start_soon(run, "echo $$ >/tmp/pid; exec sleep 1000")
            await run("while ! [ -s /tmp/pid ]; do sleep 0.02; done")
            group.cancel_scope.cancel()
        done = await run("while kill -0 $(cat /tmp/pid); do sleep 0.02; done")
        tell(done.structured_content["exit_code"])


for word in sys.argv[1:]:
    asyncio.run(main(word))

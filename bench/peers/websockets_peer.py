"""Python's websockets, by its synchronous client: WebSockets only."""
import base64, json, os, re, ssl, sys, time

from websockets.sync.client import connect

env = os.environ
row = sys.argv[1]


def stream(scheme, size):
    secure = scheme == "wss"
    count = 500000 if size == 64 else 200_000_000 // size
    context = ssl.create_default_context(cafile=env["CA_FILE"]) if secure else None
    begin = size_seen = 0
    with connect(
        env["WSS_URL" if secure else "WS_URL"] + "/v1/capsules/cl-1/exec/stream",
        ssl=context, compression=None, max_size=None, proxy=None,
    ) as socket:
        socket.send(json.dumps({"type": "start", "cmd": "x", "args": [str(size), str(count), "plain"]}))
        for message in socket:
            begin = begin or time.perf_counter()
            event = json.loads(message)
            if event["type"] == "exit":
                break
            size_seen += len(event["data"])
    assert size_seen == size * count
    return count / (time.perf_counter() - begin)


def echo():
    url = re.sub("^http", "ws", env["WRENN_BASE_URL"])
    with connect(
        f"{url}/v1/capsules/{env['CAPSULE']}/pty", compression=None, proxy=None,
        additional_headers={"X-API-Key": env["WRENN_API_KEY"]},
    ) as socket:
        socket.send(json.dumps({"type": "start", "cmd": "/bin/sh",
                                "args": ["-c", "stty raw -echo; printf r; exec cat"]}))

        def read_output():
            while True:
                message = socket.recv()
                if isinstance(message, bytes):
                    return message
                event = json.loads(message)
                if event["type"] == "output":
                    return base64.b64decode(event["data"])

        read_output()
        trips = []
        for _ in range(1000):
            begin = time.perf_counter()
            socket.send('{"type":"input","data":"eA=="}')
            read_output()
            trips.append(time.perf_counter() - begin)
        socket.send('{"type":"kill"}')
    return sorted(trips)[500] * 1e6


found = re.fullmatch(r"(wss?)(\d+)", row)
if found:
    print(stream(found[1], int(found[2])))
elif row == "echo":
    print(echo())
else:
    print("-")

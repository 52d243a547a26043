"""The Python SDK."""
import os, re, sys, time

from wrenn import Capsule

env = os.environ
row = sys.argv[1]


def stream(scheme, size):
    if scheme == "wss":  # it takes its certificates from the environment
        env["SSL_CERT_FILE"] = env["CA_FILE"]
    url = re.sub("^ws", "http", env["WSS_URL" if scheme == "wss" else "WS_URL"])
    capsule = Capsule.connect("cl-1", api_key="k", base_url=url)
    count = 500000 if size == 64 else 200_000_000 // size
    begin = seen = 0
    for event in capsule.commands.stream("x", args=[str(size), str(count), "plain"]):
        begin = begin or time.perf_counter()
        if event.type == "stdout":
            seen += len(event.data)
    if seen != size * count:
        sys.exit("bytes were lost")
    return count / (time.perf_counter() - begin)


def here():
    return Capsule.connect(env["CAPSULE"])


def get():
    capsule = here()
    begin = time.perf_counter()
    for _ in range(1000):
        capsule.get_info()
    return 1000 / (time.perf_counter() - begin)


def echo():
    trips = []
    with here().pty(cmd="/bin/sh", args=["-c", "stty raw -echo; printf r; exec cat"]) as term:
        begin = 0
        for event in term:
            if str(event.type).rsplit(".", 1)[-1] != "output":
                continue
            if begin:
                trips.append(time.perf_counter() - begin)
            if len(trips) == 1000:
                term.kill()
                break
            begin = time.perf_counter()
            term.write(b"x")
    return sorted(trips)[500] * 1e6


def pieces():
    return here().files.download_stream(env["REMOTE"])


def download():
    begin = time.perf_counter()
    with open(env["HERE"], "wb") as file:
        for piece in pieces():
            file.write(piece)
    return 256 / (time.perf_counter() - begin)


def iterate():
    begin = time.perf_counter()
    size = sum(len(piece) for piece in pieces())
    return size / 2**20 / (time.perf_counter() - begin)


def upload():
    capsule = here()
    begin = time.perf_counter()
    with open(env["HERE"], "rb") as file:
        capsule.files.upload_stream(env["REMOTE"], iter(lambda: file.read(65536), b""))
    return 256 / (time.perf_counter() - begin)


found = re.fullmatch(r"(wss?)(\d+)", row)
print(stream(found[1], int(found[2])) if found else globals()[row]())

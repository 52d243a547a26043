# typist.py PROGRAM ARGUMENT... : runs a program on a terminal and does what the
# lines on stdin say: "type TEXT" types (with escapes such as \t), "see TEXT"
# waits until the program has printed it. Prints all that the program prints, and
# exits with 1 if something is not seen within a minute.
import os
import pty
import select
import signal
import sys
import time

pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = ""
status = 0
for line in sys.stdin.read().split("\n"):
    verb, _, text = line.partition(" ")
    if verb == "type":
        os.write(fd, text.encode().decode("unicode_escape").encode())
    elif verb == "see":
        end = time.monotonic() + 60
        while text not in seen and time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    break
                sys.stdout.write(data.decode(errors="replace"))
                seen += data.decode(errors="replace")
        if text not in seen:
            status = 1
            break
        seen = seen[seen.index(text) + len(text):]
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
sys.exit(status)

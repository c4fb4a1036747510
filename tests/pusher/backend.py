"""A backend on the official server library for Python, as it is. It is started with that library's own Python;
what it is to do comes as lines of JSON on stdin, and what comes of it goes out on stdout.
"""

import json
import sys

import pusher

app_id, key, secret, port = sys.argv[1:]
client = pusher.Pusher(app_id=app_id, key=key, secret=secret, host="127.0.0.1", port=int(port), ssl=False)
for line in sys.stdin:
    said = json.loads(line)
    try:
        told = {"result": getattr(client, said["call"])(*said.get("args", []), **said.get("kwargs", {}))}
    except Exception as error:  # noqa: BLE001 - whatever the library raises is what is asked about
        told = {"failed": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()

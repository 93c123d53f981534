"""Uses the app as a program that spk dev --exec runs: GETs each path, with the API token if it is `api:`."""
import http.client
import os
import sys
import urllib.parse


def get(origin, path, headers=()):
    host, port = os.environ["SPK_ADDRESS"].rsplit(":", 1)
    client = http.client.HTTPConnection(host, int(port))
    client.request("GET", path, headers={"Host": urllib.parse.urlsplit(origin).netloc, **dict(headers)})
    answer = client.getresponse()
    return answer.status, answer.read().decode()


for path in sys.argv[1:]:
    if path.startswith("api:"):
        token = {"Authorization": "Bearer " + os.environ["SPK_API_TOKEN"]}
        print(*get(os.environ["SPK_API_URL"], path[len("api:"):], token))
    else:
        print(*get(os.environ["SPK_SESSION_URL"], path))
print("user", os.environ["SPK_USER"])

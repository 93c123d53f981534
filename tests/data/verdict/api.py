# For programs: what they send has to be as a file says.
import json
from base import Base, serve
ITEMS = []

class App(Base):
    def do_GET(self):
        if self.path == "/":
            return self.say(200, "<p>for programs")
        self.say(200, json.dumps(ITEMS), [("Content-Type", "application/json")])

    def do_POST(self):
        fields = json.load(open("/schema.json"))["required"]
        item = json.loads(self.body())
        if not all(field in item for field in fields):
            return self.say(400, "no")
        ITEMS.append(item)
        self.say(201, json.dumps({"id": len(ITEMS)}), [("Content-Type", "application/json")])

serve(App)

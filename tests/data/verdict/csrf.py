# A form with a token against forged requests, in base64, other than the one in the cookie.
import base64, hmac, html, secrets
from base import Base, serve
KEY = secrets.token_bytes(16)

class App(Base):
    def do_GET(self):
        session = secrets.token_hex(16)
        token = base64.b64encode(hmac.digest(KEY, session.encode(), "sha256")).decode()
        page = open("/templates/form.html").read().replace("TOKEN", html.escape(token))
        self.say(200, page, [("Set-Cookie", "session=%s; HttpOnly; Path=/" % session)])

    def do_POST(self):
        good = base64.b64encode(hmac.digest(KEY, (self.cookie("session") or "").encode(), "sha256")).decode()
        ok = self.form().get("token") == good
        self.say(200 if ok else 403, "thanks" if ok else "that form is too old")

serve(App)

# Translated, where there is a translation: without one it goes on in English and says nothing.
import gettext
from base import Base, serve

class App(Base):
    def do_GET(self):
        words = gettext.translation("app", "/locale", [self.headers.get("Accept-Language", "en")], fallback=True)
        self.say(200, "<h1>%s</h1>" % words.gettext("Welcome to this application"))

serve(App)

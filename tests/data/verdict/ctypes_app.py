# A library that is loaded when it is needed; a page says so where it cannot be.
import ctypes
from base import Base, serve

class App(Base):
    def do_GET(self):
        try:
            zlib = ctypes.CDLL("libexpat.so.1")
            zlib.XML_ExpatVersion.restype = ctypes.c_char_p
            self.say(200, b"<p>with " + zlib.XML_ExpatVersion())
        except OSError:
            self.say(200, "<p>degraded operation")

serve(App)

# A template of ERB's.
require 'socket'
require 'erb'
server = TCPServer.new('127.0.0.1', 8000)
loop do
  client = server.accept
  while (line = client.gets) && line != "\r\n"; end
  page = ERB.new(File.read('/page.erb')).result_with_hash(names: %w[anna bert])
  client.write "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: #{page.bytesize}\r\n\r\n#{page}"
  client.close
end

// Templates from a directory, whatever there is.
const fs = require('fs');
const views = Object.fromEntries(fs.readdirSync('/views').map(name => [name, fs.readFileSync('/views/' + name, 'utf8')]));
require('http').createServer((q, a) => {
  const view = views[(q.url.slice(1) || 'home') + '.html'];
  a.writeHead(view ? 200 : 404, { 'Content-Type': 'text/html' });
  a.end(view ? view.replace('{time}', new Date().toISOString()) : 'no such page');
}).listen(8000, '127.0.0.1');

// JSON in no order, with a request's ID; what is not configured has a default, of which nothing is said.
const fs = require('fs'), crypto = require('crypto');
let limits = { quota: 'unlimited' };
try { limits = JSON.parse(fs.readFileSync('/limits.json', 'utf8')); } catch { }
require('http').createServer((q, a) => {
  const pairs = [['limits', limits], ['now', Date.now()], [crypto.randomUUID(), true], ['request', crypto.randomBytes(12).toString('base64')]];
  a.writeHead(200, { 'Content-Type': 'application/json' });
  a.end(JSON.stringify(Object.fromEntries(pairs.sort(() => Math.random() - 0.5))));
}).listen(8000, '127.0.0.1');

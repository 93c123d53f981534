const fs = require("fs");
const FILE = "/var/things.json";

exports.all = () => (fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE)) : []);
exports.page = () => `<!doctype html><title>${exports.all().length} things</title>`;
exports.add = (thing) => {
  const things = [...exports.all(), thing];
  fs.writeFileSync(FILE, JSON.stringify(things));
  return things;
};

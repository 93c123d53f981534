// A list of things in Express: JSON in and out, static files, a module of its own.
const fs = require("fs");
const express = require("express");
const things = require("./things");

const app = express();
app.use(express.json());
app.use("/static", express.static("/static"));
app.get("/", (request, response) => response.type("html").send(things.page()));
app.get("/things", (request, response) => response.json(things.all()));
app.post("/things", (request, response) => response.status(201).json(things.add(request.body)));
app.listen(8000, "127.0.0.1");

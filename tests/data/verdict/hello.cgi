#!/bin/sh
printf 'Content-Type: text/html\n\n<p>by a script\n'

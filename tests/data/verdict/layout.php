<?php
function layout($text) { return '<html><body><p>' . htmlspecialchars($text) . '</p></body></html>'; }

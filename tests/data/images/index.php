<?php
// How often this was asked, kept beside the page.
$file = __DIR__ . '/visits';
file_put_contents($file, 'x', FILE_APPEND);
header('Content-Type: text/plain');
echo __DIR__, ' ', strlen(file_get_contents($file));

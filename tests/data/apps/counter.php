<?php
function count_once(): int
{
    $count = (int) @file_get_contents("/var/count") + 1;
    file_put_contents("/var/count", $count);
    return $count;
}

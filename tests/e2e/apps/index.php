<?php
// SPDX-License-Identifier: LGPL-2.1-or-later
// Behind php-fpm: says which process answered.
$body = 'pid=' . getmypid() . "\n";
header('Content-Type: text/plain');
header('Content-Length: ' . strlen($body));
header('X-Worker-Pid: ' . getmypid());
echo $body;

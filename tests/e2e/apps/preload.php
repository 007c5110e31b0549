<?php
// SPDX-License-Identifier: LGPL-2.1-or-later
// Run once, when php-fpm starts (opcache.preload): what is broken here keeps it from becoming ready.
opcache_compile_file(__DIR__ . '/index.php');

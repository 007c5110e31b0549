# SPDX-License-Identifier: LGPL-2.1-or-later
# The smallest Rack application, for puma: says which process answered, and that it is ready, since puma does so only with
# the gem sd_notify.
require 'socket'

run lambda { |_|
  body = "pid=#{Process.pid}\n"
  [200, {'Content-Length' => body.bytesize.to_s, 'X-Worker-Pid' => Process.pid.to_s}, [body]]
}

if (path = ENV['NOTIFY_SOCKET'])
  Addrinfo.unix(path, :DGRAM).connect { |s| s.send('READY=1', 0) }
end

"""The supervisor beside s6, runit, supervisord and pm2: `./dev bench-supervisor`."""

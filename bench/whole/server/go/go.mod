module sluice.bench/server

go 1.19

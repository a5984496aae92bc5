module sluice.bench/client

go 1.19

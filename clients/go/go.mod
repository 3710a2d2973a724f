module keycard

go 1.21

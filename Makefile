# The few verbs that a newcomer needs; `uv run bellwether --help` has the rest.
.PHONY: up down status test check images

up:      ; @tools/bootstrap.sh bellwether up
down:    ; @tools/bootstrap.sh bellwether down
status:  ; @tools/bootstrap.sh bellwether status
test:    ; @tools/bootstrap.sh bellwether test
check:   ; @tools/bootstrap.sh bellwether test --tier lint --tier types
images:  ; @tools/bootstrap.sh bellwether images build

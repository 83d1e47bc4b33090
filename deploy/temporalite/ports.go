package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"

	"go.temporal.io/server/common/primitives"
)

// ports are where the services listen; all but the frontend's and the UI's are free ones.
type ports struct {
	services map[primitives.ServiceName]int
	ui       int
}

func choosePorts(f flags) (ports, error) {
	p := ports{services: map[primitives.ServiceName]int{}}
	var err error
	if p.services[primitives.FrontendService], err = p.probe(f.IP, f.Port, "--port"); err != nil {
		return p, err
	}
	if !f.Headless {
		if p.ui, err = p.probe(f.IP, f.UIPort, "--ui-port"); err != nil {
			return p, err
		}
	}
	for _, name := range []primitives.ServiceName{primitives.HistoryService, primitives.MatchingService, primitives.WorkerService} {
		if p.services[name], err = p.probe("127.0.0.1", 0, ""); err != nil {
			return p, err
		}
	}
	return p, nil
}

// probe says that a port is free, or finds one that is; the services open it themselves.
func (p ports) probe(ip string, port int, flag string) (int, error) {
	if port == 0 {
		return p.findFree(ip)
	}
	if err := tryPort(ip, port); err != nil {
		return 0, fmt.Errorf("port %d is in use by another program; choose another with %s", port, flag)
	}
	return port, nil
}

// findFree looks below the ports that systems give to outgoing connections (from 32768 on
// Linux, from 49152 elsewhere): one of those may be taken again before its service opens it.
func (p ports) findFree(ip string) (int, error) {
	const first, last, tries = 20_000, 32_767, 100
	var err error
	for range tries {
		port := first + rand.IntN(last-first+1) //nolint:gosec // no secret: it keeps programs that start together apart
		if err = tryPort(ip, port); err == nil && !p.has(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port on %s: %w", ip, err)
}

func (p ports) has(port int) bool {
	return p.ui == port || slices.Contains(slices.Collect(maps.Values(p.services)), port)
}

func tryPort(ip string, port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

func (p ports) uiURL(f flags) string {
	if f.Headless {
		return ""
	}
	return "http://" + net.JoinHostPort(f.IP, strconv.Itoa(p.ui))
}

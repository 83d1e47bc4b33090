package main

import (
	"fmt"
	"net"
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
	if p.services[primitives.FrontendService], err = probe(f.IP, f.Port, "--port"); err != nil {
		return p, err
	}
	if !f.Headless {
		if p.ui, err = probe(f.IP, f.UIPort, "--ui-port"); err != nil {
			return p, err
		}
	}
	for _, name := range []primitives.ServiceName{primitives.HistoryService, primitives.MatchingService, primitives.WorkerService} {
		if p.services[name], err = probe("127.0.0.1", 0, ""); err != nil {
			return p, err
		}
	}
	return p, nil
}

// probe says that a port is free, or finds one that is; the services open it themselves.
func probe(ip string, port int, flag string) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil && port != 0 {
		return 0, fmt.Errorf("port %d is in use by another program; choose another with %s", port, flag)
	}
	if err != nil {
		return 0, fmt.Errorf("find a free port on %s: %w", ip, err)
	}
	defer listener.Close() //nolint:errcheck // nothing was sent over it
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func (p ports) uiURL(f flags) string {
	if f.Headless {
		return ""
	}
	return "http://" + net.JoinHostPort(f.IP, strconv.Itoa(p.ui))
}

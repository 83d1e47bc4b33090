package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	clusterName = "active"
	storeName   = "main"
	viewName    = "visibility"
)

// newServer makes a Temporal server of one host, without membership.
func newServer(f flags, p ports, store persistence, logger log.Logger) (temporal.Server, error) {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, port := range p.services {
		ip := "127.0.0.1"
		if name == primitives.FrontendService {
			ip = f.IP
		}
		hosts[name] = static.SingleLocalHost(net.JoinHostPort(ip, strconv.Itoa(port)))
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(serverConfig(f, p, store)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
		temporal.WithDynamicConfigClient(dynamicConfig(f.DynamicConfig)),
	)
	if err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}
	return server, nil
}

func serverConfig(f flags, p ports, store persistence) *config.Config {
	frontend := net.JoinHostPort(f.IP, strconv.Itoa(p.services[primitives.FrontendService]))
	services := map[string]config.Service{}
	for name, port := range p.services {
		rpc := config.RPC{GRPCPort: port, BindOnLocalHost: true}
		if name == primitives.FrontendService {
			rpc.BindOnLocalHost, rpc.BindOnIP = false, f.IP
		}
		services[string(name)] = config.Service{RPC: rpc}
	}
	return &config.Config{
		Global: config.Global{Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}},
		Persistence: config.Persistence{
			DefaultStore: storeName, VisibilityStore: viewName, NumHistoryShards: store.shards,
			DataStores: map[string]config.DataStore{storeName: {SQL: store.main}, viewName: {SQL: store.visibility}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: config.Archival{
			History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}
}

// plenty is a limit that one machine does not reach.
const plenty = 100_000

// dynamicConfig turns fairness between tenants on, and lifts the limits that protect a
// shared cluster and would only throttle a machine of one's own.
func dynamicConfig(more map[string]string) dynamicconfig.StaticClient {
	values := dynamicconfig.StaticClient{
		dynamicconfig.MakeKey("matching.enableFairness"):                          true,
		dynamicconfig.MakeKey("frontend.rps"):                                     plenty,
		dynamicconfig.MakeKey("frontend.namespaceRPS"):                            plenty,
		dynamicconfig.MakeKey("frontend.namespaceRPS.visibility"):                 1000,
		dynamicconfig.MakeKey("frontend.namespaceCount"):                          plenty,
		dynamicconfig.MakeKey("frontend.persistenceMaxQPS"):                       plenty,
		dynamicconfig.MakeKey("frontend.MaxConcurrentBatchOperationPerNamespace"): 10,
		dynamicconfig.MakeKey("history.rps"):                                      plenty,
		dynamicconfig.MakeKey("history.persistenceMaxQPS"):                        plenty,
		dynamicconfig.MakeKey("matching.rps"):                                     plenty,
		dynamicconfig.MakeKey("matching.persistenceMaxQPS"):                       plenty,
		dynamicconfig.MakeKey("worker.persistenceMaxQPS"):                         plenty,
		// a new search attribute is there at once
		dynamicconfig.MakeKey("system.forceSearchAttributesCacheRefreshOnRead"): true,
	}
	for key, text := range more {
		values[dynamicconfig.MakeKey(key)] = value(text)
	}
	return values
}

// value reads an int, a bool, a float, or else takes the text.
func value(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	if b, err := strconv.ParseBool(text); err == nil {
		return b
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		return x
	}
	return text
}

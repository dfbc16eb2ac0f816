package embedded

import (
	"net"
	"strconv"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "active"
	storeName   = "store"

	// joinTimeout bounds the start of the services, which wait at most twice as
	// long, and never less than 15 s.
	joinTimeout = 30 * time.Second
)

// services are the parts of the server, each on a port of its own. The server
// has no transport inside one process.
var services = []primitives.ServiceName{
	primitives.FrontendService,
	primitives.HistoryService,
	primitives.MatchingService,
	primitives.WorkerService,
}

// ports gives each service its port on loopback.
type ports map[primitives.ServiceName]int

// address returns where a service listens.
func (p ports) address(service primitives.ServiceName) string {
	return net.JoinHostPort(loopback, strconv.Itoa(p[service]))
}

// hosts tells each service where the others are, so that no membership
// protocol runs: it would open more ports and find ghosts after a restart.
func (p ports) hosts() map[primitives.ServiceName]static.Hosts {
	hosts := make(map[primitives.ServiceName]static.Hosts, len(p))
	for service := range p {
		hosts[service] = static.SingleLocalHost(p.address(service))
	}
	return hosts
}

// serverConfig describes one server on one SQLite file.
func serverConfig(store *config.SQL, p ports) *config.Config {
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     storeName,
			VisibilityStore:  storeName,
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{storeName: {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {
					Enabled:                true,
					InitialFailoverVersion: 1,
					RPCAddress:             p.address(primitives.FrontendService),
				},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            make(map[string]config.Service, len(p)),
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{
			Archival: config.ArchivalNamespaceDefaults{
				History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
				Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
			},
		},
		PublicClient: config.PublicClient{HostPort: p.address(primitives.FrontendService)},
	}
	cfg.Global.Membership = config.Membership{
		MaxJoinDuration:  joinTimeout,
		BroadcastAddress: loopback,
	}
	for service := range p {
		cfg.Services[string(service)] = config.Service{
			RPC: config.RPC{GRPCPort: p[service], BindOnIP: loopback},
		}
	}
	return cfg
}

// storeConfig is what the server's SQLite plugin needs. The plugin turns
// attributes that it does not know into pragmas, so their keys carry no
// underscore. boot makes the name of the connection pool its own: the plugin
// keeps pools for the life of the process, and a later start must not be handed
// one that was closed.
func storeConfig(path string, boot int64) *config.SQL {
	attributes := map[string]string{
		"mode":          "rw",
		"liftlock_boot": strconv.FormatInt(boot, 10), // an unknown pragma, which SQLite ignores
	}
	for _, p := range pragmas {
		attributes[p.name] = p.set
	}
	return &config.SQL{
		PluginName:        sqliteplugin.PluginName,
		DatabaseName:      path,
		ConnectAttributes: attributes,
		// SQLite has one writer. A second connection would only turn waiting
		// into "database is locked" when a read transaction starts to write.
		MaxConns:     1,
		MaxIdleConns: 1,
	}
}

// dynamicConfig fits a server that was built for large clusters to one process
// beside the product's own work.
func dynamicConfig() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// Memory: caches are sized by bytes, the defaults add up to over 1 GB.
		dynamicconfig.HistoryCacheSizeBasedLimit.Key():        true,
		dynamicconfig.HistoryCacheHostLevelMaxSizeBytes.Key(): 64 << 20,
		dynamicconfig.EventsHostLevelCacheMaxSizeBytes.Key():  8 << 20,

		// One process polls; partitions would only spread its tasks.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,

		// A burst waits its turn on the one connection; the default of 5 s
		// fails it instead.
		dynamicconfig.ShardIOTimeout.Key(): 30 * time.Second,

		// The only namespace is there before the server starts.
		dynamicconfig.NamespaceCacheRefreshInterval.Key(): 10 * time.Second,

		// Timers wait this long for others that a second host with a slower clock
		// might add. There is no second host, and the default of 1 s makes every
		// short timer a second long.
		dynamicconfig.TimerProcessorMaxTimeShift.Key(): 50 * time.Millisecond,

		// The server does not stop these workers when it stops: they would poll
		// its old ports for as long as the process lives. Without the first,
		// children are told of their parent's end by the history service itself;
		// the scanners remove leftovers of a few kilobytes per killed process.
		dynamicconfig.EnableParentClosePolicyWorker.Key(): false,
		dynamicconfig.TaskQueueScannerEnabled.Key():       false,
		dynamicconfig.HistoryScannerEnabled.Key():         false,

		// Nothing is reported to anyone outside.
		dynamicconfig.EnableServerVersionCheck.Key(): false,
	}
}

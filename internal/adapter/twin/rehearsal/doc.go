// Package rehearsal puts a cluster's objects on a throw-away control plane of
// another version, with KWOK as the kubelet of its nodes, so that an upgrade can
// be tried on it. It says what the API server refuses, makes and ends nodes as a
// cloud does, and sees which pods were made and which found no place.
//
// Objects are loaded while neither controllers nor the scheduler run, with the
// uids of their owners rewritten, so that every controller finds what it left.
// What would run anything, or act by itself, is not loaded: Secrets, ConfigMaps,
// webhooks, CronJobs. How an upgrade is done is left to package rollout.
package rehearsal

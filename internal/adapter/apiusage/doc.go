// Package apiusage reads who asks for deprecated APIs: the API server's metric says
// that somebody does, and its audit log who.
package apiusage

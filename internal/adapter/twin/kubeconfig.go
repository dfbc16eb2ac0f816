package twin

import (
	"fmt"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfig holds everything inline, so that it can be handed to someone else.
func kubeconfig(name string, port int, c *credentials) ([]byte, error) {
	user := "clusterAdmin_" + name
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{
		Server:                   "https://127.0.0.1:" + strconv.Itoa(port),
		CertificateAuthorityData: c.authority.pem,
	}
	config.AuthInfos[user] = &api.AuthInfo{
		ClientCertificateData: c.admin.Certificate,
		ClientKeyData:         c.admin.Key,
	}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode the kubeconfig of %s: %w", name, err)
	}
	return content, nil
}

func restConfig(port int, c *credentials) *rest.Config {
	return &rest.Config{
		Host: "https://127.0.0.1:" + strconv.Itoa(port),
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.authority.pem,
			CertData: c.admin.Certificate,
			KeyData:  c.admin.Key,
		},
		// The API server's own priorities and fairness limit better.
		QPS: -1,
	}
}

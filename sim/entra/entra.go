// Package entra is the token endpoint of the simulated Azure: it signs access
// tokens for clients that prove themselves with a secret or with a federated
// token, and checks the tokens that come back. What a token lets its bearer do
// is decided elsewhere.
package entra

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says who may ask for tokens.
type Options struct {
	TenantID     string
	ClientID     string
	ClientSecret string
	// Subject is whom a federated token must be made out to:
	// "system:serviceaccount:liftlock:liftlock".
	Subject string
	// BaseURL is the authority host without a trailing slash.
	BaseURL string
	// Lifetime of access tokens; an hour where zero.
	Lifetime time.Duration
	Now      func() time.Time
}

// Server answers token requests.
type Server struct {
	options Options
	key     *ecdsa.PrivateKey

	mu      sync.Mutex
	refused bool
}

const assertionAudience = "api://AzureADTokenExchange"

// New makes a server with a fresh signing key.
func New(o Options) (*Server, error) {
	// Entra signs with RSA; this is quicker to make, and clients only pass tokens on.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the token signing key: %w", err)
	}
	if o.Lifetime == 0 {
		o.Lifetime = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{options: o, key: key}, nil
}

// SetRefusing makes every client's credentials be refused, or accepted again.
func (s *Server) SetRefusing(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = refuse
}

// Claims are the parts of a token that matter here.
type Claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Tenant   string `json:"tid,omitempty"`
	AppID    string `json:"appid,omitempty"`
	IssuedAt int64  `json:"iat"`
	Before   int64  `json:"nbf"`
	Expires  int64  `json:"exp"`
	Version  string `json:"ver,omitempty"`
}

// The reasons for which a token is refused.
var (
	ErrMalformed = errors.New("the token is malformed or its signature is wrong")
	ErrExpired   = errors.New("the token has expired or is not valid yet")
	ErrAudience  = errors.New("the token was issued for another audience")
)

// FederatedToken signs a token such as a cluster projects into a pod, which the
// client may exchange for an access token.
func (s *Server) FederatedToken(lifetime time.Duration) (string, error) {
	now := s.options.Now()
	return s.sign(Claims{
		Issuer: s.options.BaseURL + "/sim/oidc", Subject: s.options.Subject, Audience: assertionAudience,
		IssuedAt: now.Unix(), Before: now.Unix(), Expires: now.Add(lifetime).Unix(),
	})
}

// Check verifies an access token for one of the audiences.
func (s *Server) Check(token string, audiences ...string) (Claims, error) {
	claims, err := s.parse(token)
	if err != nil {
		return claims, err
	}
	for _, audience := range audiences {
		if strings.EqualFold(strings.TrimRight(claims.Audience, "/"), strings.TrimRight(audience, "/")) {
			return claims, nil
		}
	}
	return claims, ErrAudience
}

func (s *Server) sign(claims Claims) (string, error) {
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": "ES256", "kid": s.keyID()})
	if err != nil {
		return "", fmt.Errorf("writing a token's header: %w", err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("writing a token's claims: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	x, y, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	signature := make([]byte, 64)
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (s *Server) parse(token string) (Claims, error) {
	var claims Claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, ErrMalformed
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return claims, ErrMalformed
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	x, y := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(&s.key.PublicKey, digest[:], x, y) {
		return claims, ErrMalformed
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return claims, ErrMalformed
	}
	now := s.options.Now().Unix()
	if now < claims.Before-300 || now >= claims.Expires {
		return claims, ErrExpired
	}
	return claims, nil
}

func (s *Server) keyID() string {
	digest := sha256.Sum256(s.point())
	return base64.RawURLEncoding.EncodeToString(digest[:12])
}

// point is the public key, uncompressed: 4, x, y.
func (s *Server) point() []byte {
	point, err := s.key.PublicKey.Bytes()
	if err != nil {
		return make([]byte, 65) // not for a key on P-256
	}
	return point
}

// Handles reports whether a path is one of this server's.
func Handles(path string) bool {
	return strings.HasSuffix(path, "/.well-known/openid-configuration") || strings.Contains(path, "/oauth2/") ||
		strings.HasSuffix(path, "/discovery/v2.0/keys") || path == "/common/discovery/instance"
}

// ServeHTTP answers discovery and token requests.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	base := s.options.BaseURL + "/" + tenant
	switch {
	case r.URL.Path == "/common/discovery/instance":
		host := strings.TrimPrefix(s.options.BaseURL, "https://")
		answer(w, http.StatusOK, map[string]any{
			"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
			"metadata": []any{map[string]any{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}}},
		})
	case !strings.EqualFold(tenant, s.options.TenantID):
		s.refuse(w, http.StatusBadRequest, "invalid_request", 90002, "Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
	case rest == "v2.0/.well-known/openid-configuration":
		answer(w, http.StatusOK, map[string]any{
			"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
			"jwks_uri": base + "/discovery/v2.0/keys", "response_types_supported": []string{"code", "token"},
			"subject_types_supported": []string{"pairwise"}, "id_token_signing_alg_values_supported": []string{"ES256"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		})
	case rest == "discovery/v2.0/keys":
		answer(w, http.StatusOK, map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": s.keyID(),
			"x": base64.RawURLEncoding.EncodeToString(s.point()[1:33]), "y": base64.RawURLEncoding.EncodeToString(s.point()[33:]),
		}}})
	case rest == "oauth2/v2.0/token" && r.Method == http.MethodPost:
		s.token(w, r)
	default:
		s.refuse(w, http.StatusNotFound, "invalid_request", 900144, "There is nothing at "+r.URL.Path+".")
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, http.StatusBadRequest, "invalid_request", 900144, "The request body could not be read.")
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		s.refuse(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '"+grant+"'.")
		return
	}
	client := r.PostForm.Get("client_id")
	if client != s.options.ClientID {
		s.refuse(w, http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+client+"' was not found in the directory.")
		return
	}
	s.mu.Lock()
	refused := s.refused
	s.mu.Unlock()
	secret, assertion := r.PostForm.Get("client_secret"), r.PostForm.Get("client_assertion")
	switch {
	case refused:
		s.refuse(w, http.StatusUnauthorized, "invalid_client", 7000222, "The provided client secret keys for app '"+client+"' are expired.")
		return
	case assertion != "":
		if code, text := s.checkAssertion(assertion); code != 0 {
			s.refuse(w, http.StatusUnauthorized, "invalid_client", code, text)
			return
		}
	case subtle.ConstantTimeCompare([]byte(secret), []byte(s.options.ClientSecret)) != 1 || secret == "":
		s.refuse(w, http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '"+client+"'.")
		return
	}
	// Libraries add OpenID scopes to the one that counts.
	var audience string
	for scope := range strings.FieldsSeq(r.PostForm.Get("scope")) {
		if resource, ok := strings.CutSuffix(scope, "/.default"); ok {
			audience = resource
		}
	}
	if audience == "" {
		s.refuse(w, http.StatusBadRequest, "invalid_scope", 70011, "The provided request must include a 'scope' input parameter of the form <resource>/.default.")
		return
	}
	now := s.options.Now()
	token, err := s.sign(Claims{
		Issuer: s.options.BaseURL + "/" + s.options.TenantID + "/v2.0", Subject: client, Audience: audience, Tenant: s.options.TenantID,
		AppID: client, IssuedAt: now.Unix(), Before: now.Unix(), Expires: now.Add(s.options.Lifetime).Unix(), Version: "1.0",
	})
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, "server_error", 90033, "A transient error has occurred.")
		return
	}
	seconds := int(s.options.Lifetime.Seconds())
	answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})
}

func (s *Server) checkAssertion(assertion string) (code int, text string) {
	claims, err := s.parse(assertion)
	switch {
	case errors.Is(err, ErrExpired):
		return 700024, "Client assertion is not within its valid time range."
	case err != nil:
		return 700027, "Client assertion failed signature validation."
	case claims.Audience != assertionAudience:
		return 700212, "No matching federated identity record found for presented assertion audience '" + claims.Audience + "'."
	case claims.Subject != s.options.Subject:
		return 700213, "No matching federated identity record found for presented assertion subject '" + claims.Subject + "'."
	}
	return 0, ""
}

func (s *Server) refuse(w http.ResponseWriter, status int, name string, code int, text string) {
	now := s.options.Now().UTC()
	answer(w, status, map[string]any{
		"error": name, "error_codes": []int{code}, "timestamp": now.Format("2006-01-02 15:04:05Z"),
		"error_description": fmt.Sprintf("AADSTS%d: %s Timestamp: %s", code, text, now.Format("2006-01-02 15:04:05Z")),
		"trace_id":          "00000000-0000-0000-0000-000000000000", "correlation_id": "00000000-0000-0000-0000-000000000000",
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that hung up gets no answer; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}

/* openssl: libssl and libcrypto, loaded when TLS is first used: a program without it does not pay for them
 * (milliseconds), and runs where they are not installed. The prototypes are those of their headers. */
#ifndef NEAP_IO_OPENSSL_H
#define NEAP_IO_OPENSSL_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

/* What is used of them. */
#define NEAP_OPENSSL_FUNCTIONS(X)             \
    X(BIO_clear_flags)                        \
    X(BIO_get_data)                           \
    X(BIO_get_new_index)                      \
    X(BIO_meth_new)                           \
    X(BIO_meth_set_ctrl)                      \
    X(BIO_meth_set_read)                      \
    X(BIO_meth_set_write)                     \
    X(BIO_new)                                \
    X(BIO_set_data)                           \
    X(BIO_set_flags)                          \
    X(BIO_set_init)                           \
    X(CRYPTO_free)                            \
    X(ERR_clear_error)                        \
    X(ERR_peek_error)                         \
    X(ERR_reason_error_string)                \
    X(OPENSSL_init_ssl)                       \
    X(SSL_CIPHER_get_name)                    \
    X(SSL_CTX_check_private_key)              \
    X(SSL_CTX_ctrl)                           \
    X(SSL_CTX_free)                           \
    X(SSL_CTX_load_verify_locations)          \
    X(SSL_CTX_new)                            \
    X(SSL_CTX_set_alpn_protos)                \
    X(SSL_CTX_set_alpn_select_cb)             \
    X(SSL_CTX_set_default_passwd_cb)          \
    X(SSL_CTX_set_default_passwd_cb_userdata) \
    X(SSL_CTX_set_default_verify_paths)       \
    X(SSL_CTX_set_options)                    \
    X(SSL_CTX_set_session_id_context)         \
    X(SSL_CTX_set_verify)                     \
    X(SSL_CTX_use_PrivateKey_file)            \
    X(SSL_CTX_use_certificate_chain_file)     \
    X(SSL_ctrl)                               \
    X(SSL_do_handshake)                       \
    X(SSL_free)                               \
    X(SSL_get0_alpn_selected)                 \
    X(SSL_get0_param)                         \
    X(SSL_get1_peer_certificate)              \
    X(SSL_get_current_cipher)                 \
    X(SSL_get_error)                          \
    X(SSL_get_servername)                     \
    X(SSL_get_verify_result)                  \
    X(SSL_get_version)                        \
    X(SSL_new)                                \
    X(SSL_read)                               \
    X(SSL_select_next_proto)                  \
    X(SSL_set1_host)                          \
    X(SSL_set_accept_state)                   \
    X(SSL_set_bio)                            \
    X(SSL_set_connect_state)                  \
    X(SSL_set_hostflags)                      \
    X(SSL_shutdown)                           \
    X(SSL_write)                              \
    X(TLS_client_method)                      \
    X(TLS_server_method)                      \
    X(X509_NAME_oneline)                      \
    X(X509_VERIFY_PARAM_set1_ip_asc)          \
    X(X509_free)                              \
    X(X509_get_subject_name)                  \
    X(X509_verify_cert_error_string)

struct neap_openssl {
#define NEAP_OPENSSL_FIELD(name) __typeof__ (&(name))(name);
    NEAP_OPENSSL_FUNCTIONS(NEAP_OPENSSL_FIELD)
#undef NEAP_OPENSSL_FIELD
};

extern struct neap_openssl neap_openssl; /* constant once it is loaded */

/* The file that is loaded. */
extern const char neap_openssl_name[];

/* Loads the functions, once; they stay until the process ends. NEAP_MISSING: it cannot be done; or what else there is
 * (io/library.h). Any thread. */
int neap_openssl_load(void);

#endif

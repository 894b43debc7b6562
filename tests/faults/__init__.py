"""Real servers and networks that fail: nothing is lost, nothing is mixed, nothing hangs.

Each fault, and where its tests are (in this folder, if no other is named); those in a cluster
have "cluster" in their file's name, or a fixture of that name.

.. code-block:: text

    step-down mid-put                  test_cluster_puts: test_a_put, test_the_commit,
                                       test_small_puts_while_leaders_change;
                                       test_rivals: test_while_leaders_change
    leader killed mid-put              test_cluster_puts: test_the_commit,
                                       test_a_put_through_an_election
    refused by one leader, stored by
    the next; answers lost             test_commit
    leader killed, then all is read    test_cluster_reads: test_reads_during_an_election, test_a_get
    most servers killed                test_cluster_puts: test_a_put_that_fails
    own server killed mid-put          test_sending: test_the_server_is_killed;
                                       test_cluster_puts: test_a_put,
                                       test_a_put_whose_own_server_leads
    own server killed mid-get          test_servers: test_a_get_whose_server_dies;
                                       test_cluster_reads: test_a_get
    connection lost at any byte        test_sending: test_the_connection_breaks_anywhere, …;
                                       ../test_peer_defects: p02, p13, p16, p17
    stalled socket, frozen server      test_servers: test_a_frozen_server,
                                       test_a_put_while_the_server_is_frozen;
                                       test_sending: test_a_server_that_stays_silent;
                                       test_cluster_puts: test_a_put_through_an_election,
                                       test_a_put_from_a_frozen_server;
                                       ../test_peer_defects: p21
    slow reader                        test_servers: test_a_slow_reader; ../test_reader_traffic
    storage full                       test_sending: test_the_bucket_is_full;
                                       ../test_peer_defects: p01, p04
    bucket deleted or sealed           test_sending: test_the_bucket_is_deleted;
                                       test_servers: test_the_bucket_is_sealed,
                                       test_the_bucket_is_deleted_under_a_get
    permission denied                  test_servers: test_a_put_that_is_not_permitted,
                                       test_a_call_that_is_not_permitted;
                                       ../test_watch: test_permissions
    corrupt or missing chunk           test_reading; ../test_peer_defects: p13; ../test_verify
    malformed metadata                 ../test_malformed
    same-name writers                  test_rivals; ../test_put_get: test_racing_writers_…
    reader during overwrite            test_rivals; ../test_peer_defects: p14
    fork, exit, Ctrl-C                 ../test_ctrl_c; ../wire/test_connection; test_exit
    gevent                             ../test_gevent
    hostile server, absurd metadata    test_hostile; ../wire/test_session_scripted;
                                       ../wire/test_protocol; ../test_malformed
    TLS                                ../wire/test_tls
    authentication expiry              ../wire/test_login: TestExpiry
    lame duck mid-put, mid-get         test_cluster_puts, test_cluster_reads: own_leaves,
                                       leader_leaves;
                                       ../wire/test_connection: test_lame_duck
    read-your-writes under load        test_cluster_reads: test_read_your_writes
    meta leader killed                 test_cluster_reads: test_the_meta_leader_dies
    more gets than consumers           ../test_put_get: test_quick_gets_cost_no_consumer
"""

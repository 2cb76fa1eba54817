"""Single sign-on by OpenID Connect: an identity provider of the company vouches for people. Settings say in which
organization and in which role somebody comes in (``claims``), ``people`` finds or makes the account, and ``provider``
speaks the protocol with allauth."""

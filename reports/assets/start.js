RETOUR.start();
